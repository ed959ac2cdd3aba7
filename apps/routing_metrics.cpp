#include "apps/routing_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

template <class T>
std::vector<double> shares_of(const std::vector<T>& values) {
    auto sum = static_cast<double>(std::accumulate(values.begin(), values.end(), T(0)));
    std::vector<double> shares;
    shares.reserve(values.size());
    for (T value : values) shares.push_back(sum > 0 ? static_cast<double>(value) / sum : 0);
    return shares;
}

double entropy_of(const std::vector<double>& shares) {
    double entropy = 0;
    for (double share : shares) entropy -= share > 0 ? share * std::log(share) : 0;
    return entropy;
}

// The fewest shares, largest first, that sum to `part`.
std::int64_t fewest_that_hold(const std::vector<double>& falling, double part) {
    double sum = 0;
    for (std::size_t i = 0; i < falling.size(); ++i) {
        sum += falling[i];
        // A hair less: the shares were rounded.
        if (sum >= part - 1e-9) return static_cast<std::int64_t>(i) + 1;
    }
    return static_cast<std::int64_t>(falling.size());
}

void measure_load(RoutingMetrics& metrics, const RoutingCounts& counts) {
    std::vector<double> rising = metrics.load;
    std::sort(rising.begin(), rising.end());
    auto E = static_cast<double>(rising.size());
    metrics.entropy = entropy_of(rising);
    metrics.usage_perplexity = std::exp(metrics.entropy);
    metrics.dead_experts = std::count(rising.begin(), rising.end(), 0.0);
    metrics.max_violation = E * rising.back() - 1;
    metrics.min_violation = E * rising.front() - 1;
    metrics.hottest = *std::max_element(counts.load().begin(), counts.load().end());
    std::size_t fifth = std::max<std::size_t>(1, rising.size() / 5);
    double sum = 0, areas = 0;
    for (std::size_t i = 0; i < rising.size(); ++i) {
        sum += rising[i], areas += sum;
        metrics.squared_variation += (E * rising[i] - 1) * (E * rising[i] - 1) / E;
        if (i < fifth) metrics.least_used_fifth += rising[i];
        if (i >= rising.size() - fifth) metrics.most_used_fifth += rising[i];
    }
    metrics.gini = 1 + 1 / E - 2 * areas / E;
}

void measure_mass(RoutingMetrics& metrics) {
    std::vector<double> falling = metrics.gate_mass;
    std::sort(falling.begin(), falling.end(), std::greater<>());
    auto E = static_cast<double>(falling.size());
    metrics.usage = static_cast<double>(std::count_if(falling.begin(), falling.end(), [](double share) { return share > 0; })) / E;
    metrics.unevenness = std::log(E) - entropy_of(falling);
    metrics.half_of_mass = fewest_that_hold(falling, 0.5);
    metrics.most_of_mass = fewest_that_hold(falling, 0.9);
    metrics.nearly_all_of_mass = fewest_that_hold(falling, 0.99);
}

}  // namespace

RoutingMetrics routing_metrics(const RoutingCounts& counts) {
    RoutingMetrics metrics;
    metrics.load = shares_of(counts.load());
    metrics.gate_mass = shares_of(counts.gate_mass());
    if (counts.choices() == 0) return metrics;
    measure_load(metrics, counts);
    measure_mass(metrics);
    auto all = static_cast<double>(counts.choices());
    metrics.without_gate = static_cast<double>(counts.without_gate()) / all;
    metrics.repeated = static_cast<double>(counts.repeated()) / all;
    metrics.mean_gate = std::accumulate(counts.gate_mass().begin(), counts.gate_mass().end(), 0.0) / all;
    if (counts.shape().sub_keys > 0) {
        metrics.first_half_entropy = entropy_of(shares_of(counts.first_half()));
        metrics.second_half_entropy = entropy_of(shares_of(counts.second_half()));
    }
    if (const SequenceSums& sums = counts.sequences(); sums.count > 0) {
        auto n = static_cast<double>(sums.count);
        metrics.sequence = {sums.entropy / n, sums.max_violation / n, sums.dead / n};
    }
    return metrics;
}

nlohmann::ordered_json routing_json(const RoutingMetrics& m) {
    nlohmann::ordered_json json{{"load", grouped(m.load)},
                                {"gate_mass", grouped(m.gate_mass)},
                                {"dead_experts", m.dead_experts},
                                {"entropy", m.entropy},
                                {"max_vio", m.max_violation},
                                {"min_vio", m.min_violation},
                                {"usage_perplexity", m.usage_perplexity},
                                {"cv2", m.squared_variation},
                                {"gini", m.gini},
                                {"most_used_fifth", m.most_used_fifth},
                                {"least_used_fifth", m.least_used_fifth},
                                {"hottest", m.hottest},
                                {"without_gate", m.without_gate},
                                {"mean_gate", m.mean_gate},
                                {"repeated", m.repeated},
                                {"usage", m.usage},
                                {"unevenness", m.unevenness},
                                {"top50", m.half_of_mass},
                                {"top90", m.most_of_mass},
                                {"top99", m.nearly_all_of_mass}};
    if (m.first_half_entropy) json["sub_key_entropy"] = {*m.first_half_entropy, *m.second_half_entropy};
    if (m.sequence) {
        json["sequence"] = {
            {"entropy", m.sequence->entropy}, {"max_vio", m.sequence->max_violation}, {"dead_experts", m.sequence->dead_experts}};
    }
    if (json["load"].size() != m.load.size()) json["cells"] = m.load.size();
    return json;
}

nlohmann::ordered_json routing_record(std::int64_t step, int layer, const RoutingMetrics& metrics) {
    nlohmann::ordered_json record{{"step", step}, {"layer", layer}};
    record.update(routing_json(metrics));
    return record;
}

}  // namespace apps
