#include "nn/init.h"

#include "tests/support/random.h"

#include <cmath>

#include <doctest/doctest.h>

TEST_CASE("normal values have the deviation that was asked for, and change with the seed only") {
    auto a = nn::normal(0.02)({100, 200}, 1), b = nn::normal(0.02)({100, 200}, 1), c = nn::normal(0.02)({100, 200}, 2);
    CHECK(a == b);
    CHECK(a != c);
    // The deviation of a sample of n has standard error σ/√(2n) = 0.5 %: five of them.
    CHECK(tests::deviation(a) == doctest::Approx(0.02).epsilon(0.025));
}

TEST_CASE("truncated normal values have exactly the asked deviation and end where two sigmas did") {
    auto values = nn::truncated_normal(0.5)({64, 64}, 3);
    CHECK(tests::deviation(values) == doctest::Approx(0.5).epsilon(1e-12));
    // A normal cut at ±2 has deviation 0.8796; rescaled, the cut stands at 2/0.8796 = 2.27.
    for (double v : values) CHECK(std::abs(v) < 0.5 * 2.4);
}

TEST_CASE("a router's columns have equal norms, near c = √(2/L)") {
    auto values = nn::equal_norm_columns(std::sqrt(2.0 / 16) / std::sqrt(412.0))({412, 16}, 5);
    for (int j = 0; j < 16; ++j) {
        double squares = 0;
        for (int i = 0; i < 412; ++i)
            squares += values[static_cast<std::size_t>(i * 16 + j)] * values[static_cast<std::size_t>(i * 16 + j)];
        // Row norm 0.35355 for WT-S (sigma-moe.md 2.1), up to the sample's deviation, whose standard error is 0.9 %.
        CHECK(std::sqrt(squares) == doctest::Approx(0.35355).epsilon(0.04));
    }
}
