#include "apps/inspection.h"
#include "apps/text_table.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace apps {
namespace {

std::string tensors_text(const std::vector<TensorFacts>& tensors) {
    TextTable table({"tensor", "dtype", "shape", "values", "mean", "std", "min", "max"});
    Size all = 0, broken = 0;
    for (const TensorFacts& one : tensors) {
        table.add({one.name, one.dtype, fmt::format("({})", fmt::join(one.shape, ", ")), fmt::format("{}", one.count),
                   fmt::format("{:.3g}", one.mean), fmt::format("{:.3g}", one.deviation), fmt::format("{:.3g}", one.least),
                   fmt::format("{:.3g}", one.most)});
        all += one.count;
        broken += one.not_finite;
    }
    std::string text = table.text() + fmt::format("{} values in {} tensors", all, tensors.size());
    return text + (broken > 0 ? fmt::format("; {} of them are not finite\n", broken) : "\n");
}

std::string mean_text(double sum, const ScopeSpread& scope) {
    return scope.parts > 0 ? fmt::format("{:.2f}", sum / static_cast<double>(scope.parts)) : "-";
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

std::string layers_text(const RoutingFacts& routing) {
    TextTable table({"layer", "cells", "chosen", "unused", "as good as used", "unevenness", "MaxVio", "window", "sequence", "half on",
                     "zero gates", "repeated"});
    for (const auto& [layer, tally] : routing.layers) {
        Spread spread = tally.choice_spread();
        auto cells = static_cast<double>(tally.cells()), choices = static_cast<double>(std::max<Size>(1, tally.choices));
        table.add({fmt::format("{}", layer), fmt::format("{}", tally.cells()),
                   tally.heads > 1 ? fmt::format("{}·{}", tally.heads, tally.k) : fmt::format("{}", tally.k),
                   fmt::format("{:.0f} ({})", spread.unused, percent(spread.unused / cells)),
                   fmt::format("{:.1f} ({})", spread.perplexity, percent(spread.perplexity / cells)),
                   fmt::format("{:.3f}", tally.mass_spread().unevenness), fmt::format("{:.2f}", spread.max_violation),
                   mean_text(tally.window_scope.max_violation, tally.window_scope),
                   mean_text(tally.sequence_scope.max_violation, tally.sequence_scope), fmt::format("{}", spread.half),
                   percent(static_cast<double>(tally.dropped) / choices), percent(static_cast<double>(tally.repeated) / choices)});
    }
    return table.text();
}

// The pairs whose tokens chose both most often, beyond what their loads say.
std::string pairs_text(int layer, const RoutingTally& tally) {
    std::vector<double> lift = tally.lift();
    if (lift.empty() || tally.heads * tally.k < 2) return "";
    auto E = static_cast<std::size_t>(tally.cells());
    std::vector<std::pair<double, std::size_t>> pairs;
    for (std::size_t a = 0; a < E; ++a) {
        for (std::size_t b = a + 1; b < E; ++b) pairs.emplace_back(lift[a * E + b], a * E + b);
    }
    std::size_t shown = std::min<std::size_t>(3, pairs.size());
    std::partial_sort(pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(shown), pairs.end(),
                      [](const auto& a, const auto& b) { return a.first > b.first || (a.first == b.first && a.second < b.second); });
    std::string text = fmt::format("layer {} together:", layer);
    for (std::size_t i = 0; i < shown && pairs[i].first > 0; ++i) {
        text += fmt::format("{} {} and {} ({:.2f}×)", i > 0 ? "," : "", pairs[i].second / E, pairs[i].second % E, pairs[i].first);
    }
    return text + "\n";
}

}  // namespace

std::string inspection_text(const Inspection& inspection) {
    std::string text = fmt::format("{}  step {}  {}\n\n", inspection.name, inspection.step, inspection.method);
    for (const std::string& note : inspection.notes) text += note + "\n\n";
    text += tensors_text(inspection.tensors);
    const RoutingFacts& routing = inspection.routing;
    if (routing.layers.empty()) return text;
    text += fmt::format("\n{} tokens of {}, {:.4f} nats per token\n", routing.tokens, routing.split, routing.nats_per_token);
    text += layers_text(routing);
    text +=
        "unused: chosen by no token. As good as used: perplexity of the choices. Unevenness: ln cells - entropy of the gate mass. MaxVio:\n"
        "largest load over an even one, less 1, of all tokens, of a window, of a sequence. Half on: fewest cells with half of all "
        "choices.\n";
    for (const auto& [layer, tally] : routing.layers) text += pairs_text(layer, tally);
    return text;
}

}  // namespace apps
