#pragma once
// What references of routers share, in double and straight from the formulas.
#include "tests/support/moe_layers.h"
#include "tests/support/random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <doctest/doctest.h>

namespace tests {

// A row's experts by falling score, ties to the lower index.
inline std::vector<std::size_t> order_of(const double* scores, std::size_t E) {
    std::vector<std::size_t> order(E);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    return order;
}

// The K first of every row of scores (N,E).
inline std::vector<double> top_of_rows(const std::vector<double>& scores, std::size_t N, std::size_t E, std::size_t K) {
    std::vector<double> ids;
    for (std::size_t n = 0; n < N; ++n) {
        std::vector<std::size_t> order = order_of(&scores[n * E], E);
        ids.insert(ids.end(), order.begin(), order.begin() + static_cast<long>(K));
    }
    return ids;
}

struct Softmax {
    std::vector<double> p, lse;
};
inline Softmax softmax_rows(const std::vector<double>& z, std::size_t N, std::size_t E) {
    Softmax result{std::vector<double>(N * E), std::vector<double>(N)};
    for (std::size_t n = 0; n < N; ++n) {
        double sum = 0;
        for (std::size_t e = 0; e < E; ++e) sum += std::exp(z[n * E + e]);
        for (std::size_t e = 0; e < E; ++e) result.p[n * E + e] = std::exp(z[n * E + e]) / sum;
        result.lse[n] = std::log(sum);
    }
    return result;
}

inline double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

// The largest relative error of any tensor of `expected`; ids exactly.
inline double worst_error(const Table& got, const Table& expected) {
    double error = 0;
    for (const auto& [name, values] : expected) {
        INFO(name);
        REQUIRE(got.contains(name));
        if (name == "ids") REQUIRE(got.at(name) == values);
        double here = relative_error(got.at(name), values);
        CHECK(here < 1e-4);
        error = std::max(error, here);
    }
    return error;
}

}  // namespace tests
