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

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

std::string layers_text(const RoutingFacts& routing) {
    TextTable table({"layer", "cells", "chosen", "dead", "as good as used", "unevenness", "MaxVio", "window", "sequence", "gini", "half on",
                     "zero gates", "repeated"});
    auto violation = [](const std::optional<RoutingMetrics::Sequence>& scope) {
        return scope ? fmt::format("{:.2f}", scope->max_violation) : std::string("-");
    };
    for (const auto& [layer, choices] : routing.layers) {
        RoutingMetrics metrics = routing_metrics(choices.counts);
        const RoutingShape& shape = choices.counts.shape();
        auto cells = static_cast<double>(shape.cells);
        table.add({fmt::format("{}", layer), fmt::format("{}", shape.cells), fmt::format("{}", shape.choices),
                   fmt::format("{} ({})", metrics.dead_experts, percent(static_cast<double>(metrics.dead_experts) / cells)),
                   fmt::format("{:.1f} ({})", metrics.usage_perplexity, percent(metrics.usage_perplexity / cells)),
                   fmt::format("{:.3f}", metrics.unevenness), fmt::format("{:.2f}", metrics.max_violation),
                   violation(routing_metrics(choices.windows).sequence), violation(metrics.sequence), fmt::format("{:.3f}", metrics.gini),
                   fmt::format("{}", metrics.half_of_mass), percent(metrics.without_gate), percent(metrics.repeated)});
    }
    return table.text();
}

// The pairs with most tokens beyond what their loads say.
std::string pairs_text(int layer, const CoSelection& pairs) {
    if (!pairs.counted()) return "";
    std::vector<double> expected = pairs.expected();
    auto E = static_cast<std::size_t>(pairs.cells());
    std::vector<std::pair<double, std::size_t>> surplus;
    for (std::size_t a = 0; a < E; ++a) {
        for (std::size_t at = a * E + a + 1; at < (a + 1) * E; ++at) surplus.emplace_back(pairs.together()[at] - expected[at], at);
    }
    std::size_t shown = std::min<std::size_t>(3, surplus.size());
    std::partial_sort(surplus.begin(), surplus.begin() + static_cast<std::ptrdiff_t>(shown), surplus.end(),
                      [](const auto& a, const auto& b) { return a.first > b.first || (a.first == b.first && a.second < b.second); });
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < shown && surplus[i].first > 0; ++i) {
        std::size_t at = surplus[i].second;
        texts.push_back(
            fmt::format("{} and {} ({:.0f} tokens, {:.2f}×)", at / E, at % E, pairs.together()[at], pairs.together()[at] / expected[at]));
    }
    return texts.empty() ? "" : fmt::format("layer {} together: {}\n", layer, fmt::join(texts, ", "));
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
        "dead: chosen by no token. As good as used: perplexity of the choices. Unevenness: ln cells - entropy of the gates. MaxVio: "
        "largest\n"
        "load over an even one, less 1, of all tokens, of a window, of a sequence. Half on: fewest cells with half of the gates.\n"
        "Together: tokens that chose both, over what their loads say.\n";
    for (const auto& [layer, choices] : routing.layers) text += pairs_text(layer, choices.pairs);
    return text;
}

}  // namespace apps
