#pragma once
#include "engine/base/philox.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tests {

// `count` values in [-1, 1), the same every time for the same salt.
inline std::vector<double> random_values(engine::Size count, std::uint64_t salt) {
    std::vector<double> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = 2.0 * engine::to_uniform(engine::random_bits(salt, 0, 77, i)) - 1.0;
    return values;
}

// Whole numbers below `below`, for token ids.
inline std::vector<std::int32_t> random_ids(engine::Size count, engine::Size below, std::uint64_t salt) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < ids.size(); ++i) {
        ids[i] = static_cast<std::int32_t>(engine::random_bits(salt, 0, 5, i) % static_cast<std::uint64_t>(below));
    }
    return ids;
}

// A sample's standard deviation.
inline double deviation(const std::vector<double>& values) {
    double sum = 0, squares = 0, n = static_cast<double>(values.size());
    for (double v : values) sum += v, squares += v * v;
    return std::sqrt((squares - sum * sum / n) / (n - 1));
}

// max|a − b| / max|b|
inline double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
    double difference = 0, largest = 1e-300;
    if (a.size() != b.size()) return INFINITY;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (!(std::abs(a[i] - b[i]) <= difference)) difference = std::abs(a[i] - b[i]);
        largest = std::max(largest, std::abs(b[i]));
    }
    return difference / largest;
}

}  // namespace tests
