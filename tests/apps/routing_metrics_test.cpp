#include "apps/routing_metrics.h"

#include <cmath>

#include <doctest/doctest.h>

namespace {

apps::RoutingMetrics metrics_of(const apps::RoutingShape& shape, const std::vector<std::int32_t>& ids, const std::vector<double>& gates) {
    apps::RoutingCounts counts(shape);
    counts.add(ids, gates);
    return apps::routing_metrics(counts);
}

}  // namespace

TEST_CASE("a uniform choice uses all experts, a collapsed one only one") {
    auto even = metrics_of({.cells = 4}, {0, 1, 2, 3}, {1, 1, 1, 1});
    CHECK(even.usage_perplexity == doctest::Approx(4));
    CHECK(even.max_violation == doctest::Approx(0));
    CHECK(even.min_violation == doctest::Approx(0));
    CHECK(even.squared_variation == doctest::Approx(0));
    CHECK(even.gini == doctest::Approx(0));
    CHECK(even.dead_experts == 0);
    CHECK(even.half_of_mass == 2);
    CHECK(even.most_of_mass == 4);
    auto collapsed = metrics_of({.cells = 4}, {2, 2, 2, 2}, {1, 1, 1, 0});
    CHECK(collapsed.usage_perplexity == doctest::Approx(1));
    CHECK(collapsed.max_violation == doctest::Approx(3));
    CHECK(collapsed.min_violation == doctest::Approx(-1));
    CHECK(collapsed.squared_variation == doctest::Approx(3));
    CHECK(collapsed.gini == doctest::Approx(0.75));
    CHECK(collapsed.dead_experts == 3);
    CHECK(collapsed.hottest == 4);
    CHECK(collapsed.gate_mass[2] == doctest::Approx(1));
    CHECK(collapsed.nearly_all_of_mass == 1);
    CHECK(collapsed.without_gate == doctest::Approx(0.25));
    CHECK(collapsed.mean_gate == doctest::Approx(0.75));
}

TEST_CASE("usage and unevenness go by the gates: a choice with gate 0 uses nothing, and an id below 0 is no choice") {
    auto metrics = metrics_of({.cells = 4}, {0, 1, 2, -1}, {0.5, 0.5, 0, 0});
    CHECK(metrics.usage == doctest::Approx(0.5));
    CHECK(metrics.unevenness == doctest::Approx(std::log(2.0)));
    CHECK(metrics.load[0] == doctest::Approx(1.0 / 3));
    CHECK(metrics.dead_experts == 1);
    CHECK(metrics_of({.cells = 4}, {0, 1, 2, 3}, {1, 1, 1, 1}).unevenness == doctest::Approx(0));
}

TEST_CASE("the most and the least used fifth hold what their experts were chosen for") {
    std::vector<std::int32_t> ids;
    for (std::int32_t e = 0; e < 10; ++e) ids.insert(ids.end(), static_cast<std::size_t>(e), e);
    auto metrics = metrics_of({.cells = 10}, ids, std::vector<double>(ids.size(), 1.0));
    CHECK(metrics.most_used_fifth == doctest::Approx((9.0 + 8) / 45));
    CHECK(metrics.least_used_fifth == doctest::Approx(1.0 / 45));
    // Σ_i Σ_j |i − j| / (2 · 10² · 4.5) of the loads 0 … 9.
    CHECK(metrics.gini == doctest::Approx(330.0 / 900));
}

TEST_CASE("each sequence is measured on its own, and passes add up") {
    apps::RoutingCounts counts({.cells = 2, .choices = 1, .sequence_length = 2});
    counts.add({0, 0, 1, 1}, {1, 1, 1, 1});
    counts.add({0, 1}, {1, 1});
    auto metrics = apps::routing_metrics(counts);
    CHECK(metrics.max_violation == doctest::Approx(0));
    REQUIRE(metrics.sequence);
    CHECK(metrics.sequence->max_violation == doctest::Approx(2.0 / 3));
    CHECK(metrics.sequence->dead_experts == doctest::Approx(2.0 / 3));
    CHECK(metrics.sequence->entropy == doctest::Approx(std::log(2.0) / 3));
    CHECK_FALSE(metrics_of({.cells = 2}, {0, 1}, {1, 1}).sequence);
}

TEST_CASE("product keys tell how their halves are used, and how often heads agree") {
    auto metrics = metrics_of({.cells = 9, .choices = 4, .sub_keys = 3}, {0, 1, 1, 2, 3, 4, 5, 5}, std::vector<double>(8, 0.25));
    CHECK(metrics.repeated == doctest::Approx(2.0 / 8));
    CHECK(*metrics.first_half_entropy == doctest::Approx(std::log(2.0)));
    CHECK(*metrics.second_half_entropy == doctest::Approx(-(0.25 * std::log(0.25) + 2 * 0.375 * std::log(0.375))));
    CHECK_FALSE(metrics_of({.cells = 9}, {0}, {1}).first_half_entropy);
}

TEST_CASE("a pass in which nobody was chosen has no balance to speak of") {
    auto metrics = metrics_of({.cells = 3}, {-1, -1}, {0, 0});
    CHECK(metrics.load == std::vector<double>(3, 0.0));
    CHECK(metrics.max_violation == 0);
    CHECK_THROWS(metrics_of({.cells = 3, .choices = 2}, {0}, {1}));
}

TEST_CASE("a record of many cells has the shares of groups of neighbours, and says how many cells there are") {
    auto record = apps::routing_record(7, 2, metrics_of({.cells = 3000}, {0, 1, 2, 3, 2999}, {1, 1, 1, 1, 1}));
    CHECK(record["cells"] == 3000);
    CHECK(record["load"].size() == 1000);
    CHECK(record["load"][0] == doctest::Approx(0.6));
    CHECK(record["load"][999] == doctest::Approx(0.2));
    CHECK(record["dead_experts"] == 2995);
    CHECK_FALSE(apps::routing_record(7, 2, metrics_of({.cells = 1024}, {0}, {1})).contains("cells"));
}
