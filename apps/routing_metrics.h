#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace apps {

// How one layer's choices spread over its experts, or cells, in one pass (avgk-smlp-baselines.md section 4, pkm-peer.md section 6).
struct RoutingMetrics {
    std::vector<double> load;       // share of all choices, sums to 1
    std::vector<double> gate_mass;  // summed gate of each expert over the sum of all gates
    int dead_experts = 0;           // chosen by no row
    double entropy = 0;             // of load, in nats
    double max_violation = 0;       // E · max load − 1
    double usage_perplexity = 0;    // exp(entropy): how many experts are as good as used
    double usage = 0;               // share of the experts with any gate mass
    double unevenness = 0;          // ln E − entropy of gate mass, in nats: 0 where even
};

// ids, gates (N,K) row-major; experts E. An id below 0 chose nobody.
RoutingMetrics routing_metrics(const std::vector<std::int32_t>& ids, const std::vector<double>& gates, int experts);
// The record of moe.jsonl. Of more than 1024 experts, load and gate mass are those of 1024 groups of neighbours or fewer, and `cells` says
// how many there are.
nlohmann::ordered_json routing_record(std::int64_t step, int layer, const RoutingMetrics& metrics);

}  // namespace apps
