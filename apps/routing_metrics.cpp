#include "apps/routing_metrics.h"

#include <algorithm>
#include <cmath>

namespace apps {

RoutingMetrics routing_metrics(const std::vector<std::int32_t>& ids, const std::vector<double>& gates, int experts) {
    RoutingMetrics metrics;
    metrics.load.assign(static_cast<std::size_t>(experts), 0.0);
    metrics.gate_mass.assign(static_cast<std::size_t>(experts), 0.0);
    double mass = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        metrics.load[static_cast<std::size_t>(ids[i])] += 1;
        metrics.gate_mass[static_cast<std::size_t>(ids[i])] += gates[i];
        mass += gates[i];
    }
    for (double& share : metrics.gate_mass) share = mass > 0 ? share / mass : 0;
    for (double& share : metrics.load) {
        share = ids.empty() ? 0 : share / static_cast<double>(ids.size());
        if (share == 0) metrics.dead_experts += 1;
        if (share > 0) metrics.entropy -= share * std::log(share);
        metrics.max_violation = std::max(metrics.max_violation, experts * share - 1);
    }
    metrics.usage_perplexity = std::exp(metrics.entropy);
    return metrics;
}

nlohmann::ordered_json routing_record(std::int64_t step, int layer, const RoutingMetrics& metrics) {
    return {{"step", step},
            {"layer", layer},
            {"load", metrics.load},
            {"gate_mass", metrics.gate_mass},
            {"dead_experts", metrics.dead_experts},
            {"entropy", metrics.entropy},
            {"max_vio", metrics.max_violation},
            {"usage_perplexity", metrics.usage_perplexity}};
}

}  // namespace apps
