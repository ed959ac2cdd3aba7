#include "apps/inspection.h"

#include <cmath>

namespace apps {
namespace {

using Json = nlohmann::ordered_json;

Json spread_json(const Spread& spread) {
    return {{"unused", spread.unused},
            {"perplexity", spread.perplexity},
            {"unevenness", spread.unevenness},
            {"max_vio", spread.max_violation},
            {"gini", spread.gini},
            {"half", spread.half},
            {"most", spread.most}};
}

Json scope_json(const ScopeSpread& scope) {
    if (scope.parts == 0) return nullptr;
    auto parts = static_cast<double>(scope.parts);
    return {{"parts", scope.parts},
            {"choices", static_cast<double>(scope.choices) / parts},
            {"unused", scope.unused / parts},
            {"perplexity", scope.perplexity / parts},
            {"max_vio", scope.max_violation / parts}};
}

// Shares of all; above 1024 places those of groups of neighbours, as in moe.jsonl.
Json shares_json(const std::vector<double>& amounts) {
    constexpr std::size_t kMostShares = 1024;
    std::size_t group = (amounts.size() + kMostShares - 1) / kMostShares;
    double sum = 0;
    for (double amount : amounts) sum += amount;
    std::vector<double> shares((amounts.size() + group - 1) / std::max<std::size_t>(1, group));
    for (std::size_t i = 0; i < amounts.size(); ++i) shares[i / group] += sum > 0 ? amounts[i] / sum : 0;
    return shares;
}

// The pairs that go together most, and least, beyond what their loads say.
Json pairs_json(const RoutingTally& tally) {
    std::vector<double> lift = tally.lift();
    auto E = static_cast<std::size_t>(tally.cells());
    Json matrix = Json::array(), counts = Json::array();
    for (std::size_t a = 0; a < E && !lift.empty(); ++a) {
        auto row = [&](const std::vector<double>& of) {
            auto begin = of.begin() + static_cast<std::ptrdiff_t>(a * E);
            return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(E));
        };
        matrix.push_back(row(lift));
        counts.push_back(row(tally.together()));
    }
    return {{"tokens", counts}, {"lift", matrix}};
}

Json layer_json(int layer, const RoutingTally& tally) {
    auto choices = static_cast<double>(std::max<Size>(1, tally.choices)), rows = static_cast<double>(std::max<Size>(1, tally.rows));
    Json json{{"layer", layer},
              {"cells", tally.cells()},
              {"heads", tally.heads},
              {"k", tally.k},
              {"tokens", tally.rows},
              {"choices", spread_json(tally.choice_spread())},
              {"gate_mass", spread_json(tally.mass_spread())},
              {"windows", scope_json(tally.window_scope)},
              {"sequences", scope_json(tally.sequence_scope)},
              {"zero_gates", static_cast<double>(tally.dropped) / choices},
              {"repeated", static_cast<double>(tally.repeated) / choices},
              {"choices_per_token", static_cast<double>(tally.choices) / rows},
              {"router_entropy", tally.has_logits ? Json(tally.router_entropy / rows) : Json()},
              {"load", shares_json(tally.counts())},
              {"gate_load", shares_json(tally.gate_mass())}};
    std::vector<std::vector<double>> halves = tally.half_counts();
    json["sub_keys"] = Json::array();
    for (const std::vector<double>& half : halves) {
        std::vector<double> used;
        for (double count : half) {
            if (count > 0) used.push_back(count);
        }
        json["sub_keys"].push_back(spread_json(spread_of(used, static_cast<Size>(half.size()))));
        json["sub_keys"].back()["load"] = shares_json(half);
    }
    bool pairs = !tally.together().empty() && tally.heads * tally.k > 1;
    json["co_selection"] = pairs ? pairs_json(tally) : Json();
    return json;
}

}  // namespace

nlohmann::ordered_json inspection_json(const Inspection& inspection) {
    Json tensors = Json::array(), layers = Json::array();
    Size parameters = 0;
    for (const TensorFacts& one : inspection.tensors) {
        parameters += one.count;
        tensors.push_back({{"name", one.name},
                           {"dtype", one.dtype},
                           {"shape", one.shape},
                           {"count", one.count},
                           {"mean", one.mean},
                           {"std", one.deviation},
                           {"min", one.least},
                           {"max", one.most},
                           {"not_finite", one.not_finite}});
    }
    for (const auto& [layer, tally] : inspection.routing.layers) layers.push_back(layer_json(layer, tally));
    const RoutingFacts& routing = inspection.routing;
    return {{"name", inspection.name},
            {"run", inspection.path},
            {"step", inspection.step},
            {"method", inspection.method},
            {"notes", inspection.notes},
            {"values", parameters},
            {"tensors", tensors},
            {"routing",
             {{"split", routing.split},
              {"tokens", routing.tokens},
              {"nats_per_token", routing.tokens > 0 ? Json(routing.nats_per_token) : Json()},
              {"layers", layers}}}};
}

}  // namespace apps
