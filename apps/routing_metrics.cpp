#include "apps/routing_metrics.h"

#include <algorithm>
#include <cmath>

namespace apps {

namespace {

// Shares of groups of neighbours, few enough to write down every time.
std::vector<double> grouped(const std::vector<double>& shares) {
    constexpr std::size_t kMostShares = 1024;
    std::size_t group = (shares.size() + kMostShares - 1) / kMostShares;
    std::vector<double> sums((shares.size() + group - 1) / std::max<std::size_t>(1, group));
    for (std::size_t i = 0; i < shares.size(); ++i) sums[i / group] += shares[i];
    return sums;
}

}  // namespace

RoutingMetrics routing_metrics(const std::vector<std::int32_t>& ids, const std::vector<double>& gates, int experts) {
    RoutingMetrics metrics;
    metrics.load.assign(static_cast<std::size_t>(experts), 0.0);
    metrics.gate_mass.assign(static_cast<std::size_t>(experts), 0.0);
    double mass = 0, choices = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] < 0) continue;
        metrics.load[static_cast<std::size_t>(ids[i])] += 1;
        metrics.gate_mass[static_cast<std::size_t>(ids[i])] += gates[i];
        mass += gates[i], choices += 1;
    }
    metrics.unevenness = std::log(static_cast<double>(experts));
    for (double& share : metrics.gate_mass) {
        share = mass > 0 ? share / mass : 0;
        if (share <= 0) continue;
        metrics.usage += 1.0 / experts;
        metrics.unevenness += share * std::log(share);
    }
    for (double& share : metrics.load) {
        share = choices > 0 ? share / choices : 0;
        if (share == 0) metrics.dead_experts += 1;
        if (share > 0) metrics.entropy -= share * std::log(share);
        metrics.max_violation = std::max(metrics.max_violation, experts * share - 1);
    }
    metrics.usage_perplexity = std::exp(metrics.entropy);
    return metrics;
}

nlohmann::ordered_json routing_record(std::int64_t step, int layer, const RoutingMetrics& metrics) {
    nlohmann::ordered_json record{{"step", step},
                                  {"layer", layer},
                                  {"load", grouped(metrics.load)},
                                  {"gate_mass", grouped(metrics.gate_mass)},
                                  {"dead_experts", metrics.dead_experts},
                                  {"entropy", metrics.entropy},
                                  {"max_vio", metrics.max_violation},
                                  {"usage_perplexity", metrics.usage_perplexity},
                                  {"usage", metrics.usage},
                                  {"unevenness", metrics.unevenness}};
    if (record["load"].size() != metrics.load.size()) record["cells"] = metrics.load.size();
    return record;
}

}  // namespace apps
