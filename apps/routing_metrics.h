#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace apps {

// How one layer's choices spread over its experts in one pass (avgk-smlp-baselines.md section 4).
struct RoutingMetrics {
    std::vector<double> load;       // share of all choices, sums to 1
    std::vector<double> gate_mass;  // summed gate of each expert over the sum of all gates
    int dead_experts = 0;           // chosen by no row
    double entropy = 0;             // of load, in nats
    double max_violation = 0;       // E · max load − 1
    double usage_perplexity = 0;    // exp(entropy): how many experts are as good as used
};

// ids, gates (N,K) row-major; experts E.
RoutingMetrics routing_metrics(const std::vector<std::int32_t>& ids, const std::vector<double>& gates, int experts);
// The record of moe.jsonl.
nlohmann::ordered_json routing_record(std::int64_t step, int layer, const RoutingMetrics& metrics);

}  // namespace apps
