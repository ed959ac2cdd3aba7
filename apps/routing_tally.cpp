#include "apps/routing_tally.h"

#include "engine/base/error.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <cmath>

namespace apps {

using namespace engine;

namespace {

std::vector<double> not_zero(const std::vector<double>& values) {
    std::vector<double> left;
    std::copy_if(values.begin(), values.end(), std::back_inserter(left), [](double value) { return value > 0; });
    return left;
}

// −Σ p ln p of softmax(z).
double entropy_of(const double* z, Size E) {
    double most = *std::max_element(z, z + E), sum = 0, weighted = 0;
    for (Size e = 0; e < E; ++e) {
        double power = std::exp(z[e] - most);
        sum += power;
        weighted += power * (z[e] - most);
    }
    return std::log(sum) - weighted / sum;
}

}  // namespace

Spread spread_of(std::vector<double> amounts, Size places) {
    Spread spread;
    double sum = 0;
    std::sort(amounts.begin(), amounts.end(), std::greater<>());
    for (double amount : amounts) sum += amount;
    spread.unused = static_cast<double>(places - static_cast<Size>(amounts.size()));
    if (sum <= 0) return spread;
    double entropy = 0, held = 0, below = 0;  // `below`: Σ of cumulated shares, for Gini's area
    for (std::size_t i = 0; i < amounts.size(); ++i) {
        double share = amounts[i] / sum;
        entropy -= share * std::log(share);
        held += share;
        below += held - share / 2;
        // Shares are rounded: what is meant to be half is half within that.
        if (spread.half == 0 && held >= 0.5 - 1e-12) spread.half = static_cast<Size>(i) + 1;
        if (spread.most == 0 && held >= 0.9 - 1e-12) spread.most = static_cast<Size>(i) + 1;
    }
    auto E = static_cast<double>(places);
    below += spread.unused;
    spread.perplexity = std::exp(entropy);
    spread.unevenness = std::max(0.0, std::log(E) - entropy);
    spread.max_violation = E * amounts.front() / sum - 1;
    spread.gini = std::max(0.0, 2 * below / E - 1);
    return spread;
}

void RoutingTally::begin(const nn::Routing& routing) {
    const Shape& shape = routing.ids.shape();
    from_product_keys = shape.dims() == 3;
    heads = from_product_keys ? shape[1] : 1;
    k = shape[-1];
    auto cells = static_cast<std::size_t>(routing.cells > 0 ? routing.cells : routing.logits_NE.size(-1));
    count_.assign(cells, 0);
    mass_.assign(cells, 0);
    if (this->cells() <= kMostPairs) together_.assign(cells * cells, 0);
    has_logits = routing.logits_NE.defined();
}

void RoutingTally::add_row(const std::int32_t* ids, const double* gates, Size columns) {
    std::vector<std::int32_t> own;
    for (Size j = 0; j < columns; ++j) {
        if (ids[j] < 0) continue;
        auto id = static_cast<std::size_t>(ids[j]);
        count_[id] += 1;
        mass_[id] += gates[j];
        choices += 1;
        if (gates[j] == 0) dropped += 1;
        if (std::find(own.begin(), own.end(), ids[j]) != own.end()) {
            repeated += 1;
        } else {
            own.push_back(ids[j]);
        }
    }
    rows += 1;
    if (together_.empty()) return;
    for (std::int32_t a : own) {
        for (std::int32_t b : own) together_[static_cast<std::size_t>(a) * count_.size() + static_cast<std::size_t>(b)] += 1;
    }
}

void RoutingTally::add_scope(ScopeSpread& scope, std::vector<std::int32_t> ids) const {
    std::erase_if(ids, [](std::int32_t id) { return id < 0; });
    if (ids.empty()) return;
    std::sort(ids.begin(), ids.end());
    std::vector<double> amounts;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (i == 0 || ids[i] != ids[i - 1]) amounts.push_back(0);
        amounts.back() += 1;
    }
    Spread spread = spread_of(std::move(amounts), cells());
    scope.unused += spread.unused;
    scope.perplexity += spread.perplexity;
    scope.max_violation += spread.max_violation;
    scope.choices += static_cast<Size>(ids.size());
    scope.parts += 1;
}

void RoutingTally::add(const Exec& exec, const nn::Routing& routing, Size sequences, const std::vector<bool>& scored) {
    if (count_.empty()) begin(routing);
    auto N = static_cast<Size>(scored.size()), columns = heads * k;
    expect(routing.ids.shape().elements() == N * columns, "inspect", "choices are not a row each: got ids {}, expected {} rows",
           routing.ids.shape().text(), N);
    std::vector<std::int32_t> ids = to_host<std::int32_t>(exec, routing.ids);
    std::vector<double> gates = to_host<double>(exec, routing.gates), logits;
    if (has_logits) logits = to_host<double>(exec, routing.logits_NE);
    std::vector<std::int32_t> window;
    for (Size sequence = 0, T = N / sequences; sequence < sequences; ++sequence) {
        std::vector<std::int32_t> own;
        for (Size n = sequence * T; n < (sequence + 1) * T; ++n) {
            if (!scored[static_cast<std::size_t>(n)]) continue;
            add_row(&ids[static_cast<std::size_t>(n * columns)], &gates[static_cast<std::size_t>(n * columns)], columns);
            own.insert(own.end(), ids.begin() + n * columns, ids.begin() + (n + 1) * columns);
            if (has_logits) router_entropy += entropy_of(&logits[static_cast<std::size_t>(n * cells())], cells());
        }
        window.insert(window.end(), own.begin(), own.end());
        add_scope(sequence_scope, std::move(own));
    }
    add_scope(window_scope, std::move(window));
}

Spread RoutingTally::choice_spread() const { return spread_of(not_zero(count_), cells()); }
Spread RoutingTally::mass_spread() const { return spread_of(not_zero(mass_), cells()); }

std::vector<std::vector<double>> RoutingTally::half_counts() const {
    auto P = static_cast<std::size_t>(std::llround(std::sqrt(static_cast<double>(cells()))));
    if (!from_product_keys || P * P != count_.size()) return {};
    std::vector<std::vector<double>> halves(2, std::vector<double>(P));
    for (std::size_t id = 0; id < count_.size(); ++id) {
        halves[0][id / P] += count_[id];
        halves[1][id % P] += count_[id];
    }
    return halves;
}

std::vector<double> RoutingTally::lift() const {
    std::vector<double> lift = together_;
    std::size_t E = count_.size();
    double all = 0;
    for (std::size_t e = 0; e < E && !lift.empty(); ++e) all += together_[e * E + e];
    // A row that chose a has its other choices among the rest, by their loads; that from b's side gives the other half.
    double others = rows > 0 ? all / static_cast<double>(rows) - 1 : 0;
    for (std::size_t a = 0; a < E && !lift.empty(); ++a) {
        for (std::size_t b = 0; b < E; ++b) {
            double na = together_[a * E + a], nb = together_[b * E + b];
            double expected = na * nb * others * 0.5 * (1 / (all - na) + 1 / (all - nb));
            lift[a * E + b] = a != b && expected > 0 && std::isfinite(expected) ? together_[a * E + b] / expected : 0;
        }
    }
    return lift;
}

}  // namespace apps
