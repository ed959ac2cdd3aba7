#include "nn/init.h"

#include "engine/base/philox.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace nn {
namespace {

std::size_t count_of(const Shape& shape) { return static_cast<std::size_t>(shape.elements()); }

// Uniform in (0, 1) with 53 bits; draws `salt` and the element name the number.
double open_uniform(std::uint64_t seed, std::uint64_t element, std::uint64_t salt) {
    engine::Random4 r = engine::philox(seed, element, salt);
    std::uint64_t bits = (static_cast<std::uint64_t>(r.value[0]) << 21) ^ (r.value[1] >> 11);
    return (static_cast<double>(bits) + 0.5) * 0x1p-53;
}

// Box and Muller 1958.
double standard_normal(std::uint64_t seed, std::uint64_t element, std::uint64_t salt) {
    double radius = std::sqrt(-2.0 * std::log(open_uniform(seed, element, 2 * salt)));
    return radius * std::cos(2.0 * std::numbers::pi * open_uniform(seed, element, 2 * salt + 1));
}

double sample_deviation(const std::vector<double>& values) {
    double sum = 0, squares = 0;
    for (double value : values) sum += value;
    double mean = sum / static_cast<double>(values.size());
    for (double value : values) squares += (value - mean) * (value - mean);
    return std::sqrt(squares / std::max(1.0, static_cast<double>(values.size()) - 1.0));
}

void scale_to_deviation(std::vector<double>& values, double deviation) {
    double now = sample_deviation(values);
    if (now <= 0) return;
    for (double& value : values) value *= deviation / now;
}

}  // namespace

std::uint64_t seed_for(std::uint64_t seed, const std::string& name) {
    std::uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a
    for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    engine::Random4 r = engine::philox(seed, hash, 0);
    return (static_cast<std::uint64_t>(r.value[0]) << 32) | r.value[1];
}

Initial constant(double value) {
    return [value](const Shape& shape, std::uint64_t) { return std::vector<double>(count_of(shape), value); };
}

Initial normal(double deviation) {
    return [deviation](const Shape& shape, std::uint64_t seed) {
        std::vector<double> values(count_of(shape));
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = deviation * standard_normal(seed, i, 0);
        return values;
    };
}

Initial truncated_normal(double deviation) {
    return [deviation](const Shape& shape, std::uint64_t seed) {
        std::vector<double> values(count_of(shape));
        for (std::size_t i = 0; i < values.size(); ++i) {
            for (std::uint64_t draw = 0;; ++draw) {
                values[i] = standard_normal(seed, i, draw);
                if (std::abs(values[i]) <= 2.0) break;
            }
        }
        if (values.size() > 1) {
            scale_to_deviation(values, deviation);
        } else {
            for (double& value : values) value *= deviation;
        }
        return values;
    };
}

Initial uniform(double bound) {
    return [bound](const Shape& shape, std::uint64_t seed) {
        std::vector<double> values(count_of(shape));
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = bound * (2.0 * open_uniform(seed, i, 0) - 1.0);
        return values;
    };
}

Initial equal_norm_columns(double deviation) {
    return [deviation](const Shape& shape, std::uint64_t seed) {
        std::vector<double> values = normal(deviation)(shape, seed);
        double before = sample_deviation(values);
        std::size_t columns = static_cast<std::size_t>(shape.columns()), rows = static_cast<std::size_t>(shape.rows());
        for (std::size_t j = 0; j < columns; ++j) {
            double squares = 0;
            for (std::size_t i = 0; i < rows; ++i) squares += values[i * columns + j] * values[i * columns + j];
            double norm = std::sqrt(squares);
            for (std::size_t i = 0; norm > 0 && i < rows; ++i) values[i * columns + j] /= norm;
        }
        if (values.size() > 1) scale_to_deviation(values, before);
        return values;
    };
}

Initial orthogonal_columns(double norm) {
    return [norm](const Shape& shape, std::uint64_t seed) {
        std::vector<double> values = normal(1.0)(shape, seed);
        std::size_t columns = static_cast<std::size_t>(shape.columns()), rows = static_cast<std::size_t>(shape.rows());
        auto at = [&](std::size_t i, std::size_t j) -> double& { return values[i * columns + j]; };
        for (std::size_t j = 0; j < columns; ++j) {
            // Gram–Schmidt, twice for rounding, against the columns of its own set.
            for (int pass = 0; pass < 2; ++pass) {
                for (std::size_t other = j / rows * rows; other < j; ++other) {
                    double product = 0;
                    for (std::size_t i = 0; i < rows; ++i) product += at(i, j) * at(i, other);
                    for (std::size_t i = 0; i < rows; ++i) at(i, j) -= product / (norm * norm) * at(i, other);
                }
            }
            double squares = 0;
            for (std::size_t i = 0; i < rows; ++i) squares += at(i, j) * at(i, j);
            for (std::size_t i = 0; i < rows; ++i) at(i, j) *= norm / std::sqrt(squares);
        }
        return values;
    };
}

}  // namespace nn
