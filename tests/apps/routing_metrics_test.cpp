#include "apps/routing_metrics.h"

#include <cmath>

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

TEST_CASE("usage and unevenness go by the gates: a choice with gate 0 uses nothing, and an id below 0 is no choice") {
    auto metrics = apps::routing_metrics({0, 1, 2, -1}, {0.5, 0.5, 0, 0}, 4);
    CHECK(metrics.usage == doctest::Approx(0.5));
    CHECK(metrics.unevenness == doctest::Approx(std::log(2.0)));
    CHECK(metrics.load[0] == doctest::Approx(1.0 / 3));
    CHECK(metrics.dead_experts == 1);
    CHECK(apps::routing_metrics({0, 1, 2, 3}, {1, 1, 1, 1}, 4).unevenness == doctest::Approx(0));
}

TEST_CASE("a record of many cells has the shares of groups of neighbours, and says how many cells there are") {
    std::vector<std::int32_t> ids = {0, 1, 2, 3, 2999};
    auto record = apps::routing_record(7, 2, apps::routing_metrics(ids, {1, 1, 1, 1, 1}, 3000));
    CHECK(record["cells"] == 3000);
    CHECK(record["load"].size() == 1000);
    CHECK(record["load"][0] == doctest::Approx(0.6));
    CHECK(record["load"][999] == doctest::Approx(0.2));
    CHECK(record["dead_experts"] == 2995);
    CHECK_FALSE(apps::routing_record(7, 2, apps::routing_metrics({0}, {1}, 1024)).contains("cells"));
}
