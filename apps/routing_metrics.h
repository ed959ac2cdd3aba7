#pragma once
#include "apps/routing_counts.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace apps {

// How one layer's choices spread over its experts, or cells. Load is a cell's share of all choices, mass its share of all gates; both sum
// to 1. Logarithms are natural.
struct RoutingMetrics {
    std::vector<double> load, gate_mass;
    std::int64_t dead_experts = 0;  // chosen by no row
    double entropy = 0;             // of load
    double usage_perplexity = 0;    // exp(entropy): how many experts are as good as used
    double max_violation = 0;       // E · largest load − 1 (Wang 2024's MaxVio); 0 where even
    double min_violation = 0;       // E · least load − 1
    double squared_variation = 0;   // variance / mean² of load (Shazeer 2017's CV²)
    double gini = 0;                // of load: 0 even, 1 − 1/E one expert only
    double most_used_fifth = 0;     // share of the choices that fall on the fifth of the experts with most; the same of those with least
    double least_used_fifth = 0;
    std::int64_t hottest = 0;  // choices of the most chosen expert
    double without_gate = 0;   // share of the choices with a gate of 0: dropped by a capacity, or a ReLU's zero
    double mean_gate = 0;
    double repeated = 0;  // share of the choices that name a cell again for the same row: several heads that agree
    // By mass (Lample 2019; pkm-peer.md section 6):
    double usage = 0;                                                         // share of the experts with any
    double unevenness = 0;                                                    // ln E − entropy of mass: 0 where even
    std::int64_t half_of_mass = 0, most_of_mass = 0, nearly_all_of_mass = 0;  // the fewest experts that hold 50, 90, 99 % of it
    // Of product keys: how evenly each half's sub-keys are chosen, entropy of their loads.
    std::optional<double> first_half_entropy, second_half_entropy;
    // The same within one sequence, averaged over sequences.
    struct Sequence {
        double entropy, max_violation, dead_experts;
    };
    std::optional<Sequence> sequence;
};

RoutingMetrics routing_metrics(const RoutingCounts& counts);
// All of it under the names of moe.jsonl. Of more than 1024 experts, load and gate mass are those of 1024 groups of neighbours or fewer,
// and `cells` says how many there are.
nlohmann::ordered_json routing_json(const RoutingMetrics& metrics);
// The record of moe.jsonl.
nlohmann::ordered_json routing_record(std::int64_t step, int layer, const RoutingMetrics& metrics);

}  // namespace apps
