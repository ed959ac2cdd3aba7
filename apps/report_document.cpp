#include "apps/report_document.h"

#include "apps/json_lines.h"
#include "apps/report_summary.h"
#include "apps/report_thinning.h"
#include "apps/seed_groups.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

namespace apps {
namespace {

using Json = nlohmann::ordered_json;

// What a report of any number of runs may hold, so that it stays a file one can mail: about 10 bytes a number.
constexpr std::size_t kAllPoints = 2000, kAllUsagePoints = 6000, kAllLoads = 40000;
constexpr std::size_t kMostPoints = 1000, kMostUsagePoints = 200, kMostFrames = 40, kFewest = 3;

std::size_t share_of(std::size_t all, std::size_t parts, std::size_t most) {
    return std::clamp(all / std::max<std::size_t>(parts, 1), kFewest, most);
}

// Whole numbers as they are, others with `digits` significant digits; null for what is not finite.
Json number(double value, int digits = 5) {
    if (!std::isfinite(value)) return nullptr;
    auto whole = [](double x) { return std::floor(x) == x && std::abs(x) < 1e15; };
    if (!whole(value)) value = std::strtod(fmt::format("{:.{}g}", value, digits).c_str(), nullptr);
    if (whole(value)) return static_cast<std::int64_t>(value);
    return value;
}

template <class Values>
Json numbers(const Values& values, int digits = 5) {
    Json list = Json::array();
    for (double value : values) list.push_back(number(value, digits));
    return list;
}

bool any_finite(const std::vector<double>& values) {
    return std::any_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
}

std::vector<double> rounded(std::vector<double> values) {
    for (double& value : values) value = std::round(value);
    return values;
}

Json curve_json(const Curve& curve, std::size_t most) {
    std::vector<std::size_t> starts = bucket_starts(curve.size(), most);
    Json json{{"records", curve.size()}, {"points", starts.size()}};
    json["step"] = numbers(rounded(bucket_values(curve.step, starts).mean));
    json["tokens"] = numbers(rounded(bucket_values(curve.tokens, starts).mean));
    json["seconds"] = numbers(bucket_values(curve.seconds, starts).mean, 6);
    Buckets loss = bucket_values(curve.loss, starts);
    json["loss"] = numbers(loss.mean);
    if (starts.size() < curve.size()) {
        json["least"] = numbers(loss.least, 4);
        json["most"] = numbers(loss.most, 4);
        Json counts = Json::array();
        for (std::size_t b = 0; b < starts.size(); ++b)
            counts.push_back((b + 1 < starts.size() ? starts[b + 1] : curve.size()) - starts[b]);
        json["count"] = counts;
    }
    auto add = [&](Json& into, const std::string& name, const std::vector<double>& values) {
        if (any_finite(values)) into[name] = numbers(bucket_values(values, starts).mean, 4);
    };
    add(json, "lr", curve.lr);
    add(json, "grad_norm", curve.grad_norm);
    add(json, "tokens_per_second", curve.tokens_per_second);
    json["balance"] = Json::object();
    for (const auto& [name, values] : curve.balance) add(json["balance"], name, values);
    return json;
}

Json evaluations_json(const RunReport& run) {
    Json list = Json::array();
    for (const EvaluationRecord& one : run.evaluations) {
        list.push_back({{"split", one.split},
                        {"step", number(one.step)},
                        {"tokens", number(one.tokens)},
                        {"seconds", number(one.seconds, 6)},
                        {"nats", number(one.nats_per_token, 6)},
                        {"bits", number(one.bits_per_byte, 6)},
                        {"scored_tokens", number(one.scored_tokens)},
                        {"bytes", number(one.bytes)}});
    }
    return list;
}

Json summary_json(const RunReport& run) {
    RunSummary summary = summarise(run);
    BalanceSummary balance = summarise_balance(run);
    Json parts = Json::array();
    for (const auto& [name, count] : run.plan.parts) parts.push_back({{"name", name}, {"parameters", number(count)}});
    Json splits = Json::object();
    for (const EvaluationRecord& one : run.evaluations) {
        const EvaluationRecord* last = last_evaluation(run, one.split);
        const EvaluationRecord* best = best_evaluation(run, one.split);
        splits[one.split] = {{"bits", number(last->bits_per_byte, 6)},
                             {"nats", number(last->nats_per_token, 6)},
                             {"step", number(last->step)},
                             {"best_bits", best ? number(best->bits_per_byte, 6) : nullptr},
                             {"best_step", best ? number(best->step) : nullptr}};
    }
    return {{"method", run.method},
            {"parameters", number(run.plan.parameters)},
            {"active_parameters", number(run.plan.active_parameters)},
            {"forward_flops", number(run.plan.forward_flops)},
            {"selector_flops", number(run.plan.selector_flops)},
            {"training_flops", number(summary.training_flops)},
            {"steps", number(summary.steps)},
            {"tokens", number(summary.tokens)},
            {"seconds", number(summary.seconds, 6)},
            {"tokens_per_second", number(summary.tokens_per_second)},
            {"train_loss", number(summary.train_loss)},
            {"loss_records", summary.loss_records},
            {"usage", number(balance.usage)},
            {"dead_experts", number(balance.dead_experts)},
            {"max_vio", number(balance.max_violation)},
            {"unevenness", number(balance.unevenness)},
            {"splits", splits},
            {"parts", parts}};
}

// Loads relative to an even spread, at chosen records of all layers.
Json usage_json(const RunReport& run, std::size_t points, std::size_t loads) {
    std::size_t cells = 0;
    for (const LayerUsage& layer : run.layers) cells += layer.load.back().size();
    std::size_t frames = share_of(loads, cells, kMostFrames);
    Json layers = Json::array();
    for (const LayerUsage& layer : run.layers) {
        std::vector<std::size_t> starts = bucket_starts(layer.step.size(), points), rows = chosen_rows(layer.step.size(), frames);
        Json steps = Json::array(), load = Json::array();
        for (std::size_t row : rows) {
            steps.push_back(number(layer.step[row]));
            load.push_back(numbers(layer.load[row], 3));
        }
        layers.push_back({{"layer", layer.layer},
                          {"experts", layer.experts},
                          {"step", numbers(rounded(bucket_values(layer.step, starts).mean))},
                          {"usage_perplexity", numbers(bucket_values(layer.usage_perplexity, starts).mean, 4)},
                          {"max_vio", numbers(bucket_values(layer.max_violation, starts).mean, 4)},
                          {"dead_experts", numbers(bucket_values(layer.dead_experts, starts).mean, 4)},
                          {"unevenness", numbers(bucket_values(layer.unevenness, starts).mean, 4)},
                          {"frame_step", steps},
                          {"load", load},
                          {"gate_mass", numbers(layer.last_gate_mass, 3)}});
    }
    return layers;
}

Json spread_json(const ValueSpread& spread, int digits) {
    return {{"values", numbers(spread.values, digits)},
            {"mean", number(spread.mean, digits)},
            {"deviation", number(spread.deviation, digits)},
            {"least", number(spread.least, digits)},
            {"most", number(spread.most, digits)}};
}

Json groups_json(const std::vector<RunReport>& runs, const std::vector<SeedGroup>& groups) {
    Json list = Json::array();
    for (const SeedGroup& group : groups) {
        std::vector<double> losses, seconds;
        Json splits = Json::object();
        for (std::size_t i : group.runs) {
            RunSummary summary = summarise(runs[i]);
            losses.push_back(summary.train_loss);
            seconds.push_back(summary.seconds);
            for (const EvaluationRecord& one : runs[i].evaluations) {
                if (!splits.contains(one.split)) splits[one.split] = spread_json(last_bits(runs, group, one.split), 6);
            }
        }
        list.push_back({{"name", group.name},
                        {"runs", group.runs},
                        {"train_loss", spread_json(value_spread(losses), 5)},
                        {"seconds", spread_json(value_spread(seconds), 6)},
                        {"splits", splits}});
    }
    return list;
}

Json samples_json(const RunReport& run) {
    constexpr std::size_t kShown = 3;
    Json list = Json::array();
    for (std::size_t i = run.samples.size() - std::min(run.samples.size(), kShown); i < run.samples.size(); ++i) {
        list.push_back({{"name", run.samples[i].name}, {"text", run.samples[i].text}});
    }
    return list;
}

}  // namespace

nlohmann::ordered_json report_document(const std::vector<RunReport>& runs) {
    std::size_t layers = 0, routed_runs = 0;
    for (const RunReport& run : runs) {
        layers += run.layers.size();
        routed_runs += run.layers.empty() ? 0 : 1;
    }
    Json document{{"version", MOEGRAD_VERSION},
                  {"verdict", verdict(runs)},
                  {"split", common_split(runs)},
                  {"followed_split", followed_split(runs)},
                  {"training_passes", kTrainingPasses}};
    std::vector<SeedGroup> groups = seed_groups(runs);
    document["groups"] = groups_json(runs, groups);
    document["runs"] = Json::array();
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const RunReport& run = runs[i];
        auto group = std::find_if(groups.begin(), groups.end(),
                                  [&](const SeedGroup& one) { return std::find(one.runs.begin(), one.runs.end(), i) != one.runs.end(); });
        document["runs"].push_back({{"name", run.name},
                                    {"group", group - groups.begin()},
                                    {"path", run.path},
                                    {"summary", summary_json(run)},
                                    {"notes", run.notes},
                                    {"problems", run.problems},
                                    {"curve", curve_json(run.curve, share_of(kAllPoints, runs.size(), kMostPoints))},
                                    {"evaluations", evaluations_json(run)},
                                    {"layers", usage_json(run, share_of(kAllUsagePoints, layers, kMostUsagePoints),
                                                          kAllLoads / std::max<std::size_t>(routed_runs, 1))},
                                    {"samples", samples_json(run)},
                                    {"config", run.config_text}});
    }
    document["budgets"] = Json::array();
    if (runs.size() > 1) {
        for (const Budget& budget : equal_budgets(runs, followed_split(runs))) {
            document["budgets"].push_back({{"axis", budget.axis},
                                           {"amount", number(budget.amount)},
                                           {"bits", numbers(budget.bits_per_byte, 6)},
                                           {"train_loss", numbers(budget.train_loss)}});
        }
    }
    document["differences"] = Json::array();
    for (const ConfigRow& row : config_differences(runs)) document["differences"].push_back({{"key", row.key}, {"values", row.values}});
    return document;
}

}  // namespace apps
