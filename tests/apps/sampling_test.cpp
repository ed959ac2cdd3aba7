#include "apps/sampling.h"

#include <cmath>
#include <map>

#include <doctest/doctest.h>

using apps::sample;

TEST_CASE("temperature 0 takes the likeliest token, the lower id of equals") {
    CHECK(sample({0.f, 2.f, 2.f, 1.f}, {.temperature = 0}, 0) == 1);
}

TEST_CASE("samples follow the softmax, and top-k and top-p cut its tail") {
    std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
    auto counts = [&](apps::SamplingOptions options) {
        std::map<int, int> seen;
        for (std::uint64_t i = 0; i < 4000; ++i) ++seen[sample(logits, options, i)];
        return seen;
    };
    auto all = counts({});
    // 4000 draws of p = 0.5: standard deviation 32; five of them.
    CHECK(std::abs(all[0] - 2000) < 160);
    CHECK(all[3] > 100);
    CHECK(counts({.top_k = 2}).size() == 2);
    CHECK(counts({.top_p = 0.79}).size() == 2);
    CHECK(counts({.top_p = 0.81}).size() == 3);
}

TEST_CASE("the same seed and position give the same token") {
    std::vector<float> logits(50, 0.f);
    for (std::uint64_t i = 0; i < 20; ++i) CHECK(sample(logits, {.seed = 9}, i) == sample(logits, {.seed = 9}, i));
}
