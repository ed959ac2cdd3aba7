#include "apps/routing_metrics.h"

#include <doctest/doctest.h>

TEST_CASE("a uniform choice uses all experts, a collapsed one only one") {
    auto even = apps::routing_metrics({0, 1, 2, 3}, {1, 1, 1, 1}, 4);
    CHECK(even.usage_perplexity == doctest::Approx(4));
    CHECK(even.max_violation == doctest::Approx(0));
    CHECK(even.dead_experts == 0);
    auto collapsed = apps::routing_metrics({2, 2, 2, 2}, {1, 1, 1, 0}, 4);
    CHECK(collapsed.usage_perplexity == doctest::Approx(1));
    CHECK(collapsed.max_violation == doctest::Approx(3));
    CHECK(collapsed.dead_experts == 3);
    CHECK(collapsed.gate_mass[2] == doctest::Approx(1));
}
