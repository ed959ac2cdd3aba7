#include "apps/routing_tally.h"

#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"

#include <cmath>

#include <doctest/doctest.h>

using namespace apps;
using engine::Dtype;

namespace {

struct Host {
    engine::Pool pool{engine::Device{}};
    engine::Exec exec{.pool = &pool};
};

nn::Routing routing_of(const engine::Exec& exec, const engine::Shape& shape, const std::vector<std::int32_t>& ids,
                       const std::vector<float>& gates, Size cells) {
    return {engine::from_host(exec, shape, Dtype::i32, ids), engine::from_host(exec, shape, Dtype::f32, gates), {}, cells};
}

}  // namespace

TEST_CASE("the spread of even amounts is even, of one amount as uneven as can be") {
    Spread even = spread_of({3, 3, 3, 3}, 4);
    CHECK(even.unused == 0);
    CHECK(even.perplexity == doctest::Approx(4));
    CHECK(even.unevenness == doctest::Approx(0).scale(1));
    CHECK(even.max_violation == doctest::Approx(0).scale(1));
    CHECK(even.gini == doctest::Approx(0).scale(1));
    CHECK(even.half == 2);
    CHECK(even.most == 4);
    Spread one = spread_of({7}, 5);
    CHECK(one.unused == 4);
    CHECK(one.perplexity == doctest::Approx(1));
    CHECK(one.unevenness == doctest::Approx(std::log(5.0)));
    CHECK(one.max_violation == doctest::Approx(4));
    CHECK(one.gini == doctest::Approx(0.8));  // 1 − 1/E
    CHECK(one.half == 1);
    Spread none = spread_of({}, 3);
    CHECK(none.unused == 3);
    CHECK(none.perplexity == 0);
}

TEST_CASE("a tally counts choices by hand, leaves out what is not scored, and looks at windows and sequences alone") {
    Host host;
    RoutingTally tally;
    // Two sequences of two tokens; the last token is not scored.
    tally.add(host.exec, routing_of(host.exec, {4, 2}, {0, 1, 0, 2, 2, 1, 3, 3}, {1, 0.5F, 1, 0, 0.5F, 1, 9, 9}, 4), 2,
              {true, true, true, false});
    CHECK(tally.rows == 3);
    CHECK(tally.choices == 6);
    CHECK(tally.dropped == 1);
    CHECK(tally.repeated == 0);
    CHECK(tally.counts() == std::vector<double>{2, 2, 2, 0});
    CHECK(tally.gate_mass() == std::vector<double>{2, 1.5, 0.5, 0});
    CHECK(tally.choice_spread().unused == 1);
    CHECK(tally.choice_spread().max_violation == doctest::Approx(4.0 / 3 - 1));
    CHECK(tally.window_scope.parts == 1);
    CHECK(tally.sequence_scope.parts == 2);
    // First sequence: 0 0 1 2, half of the choices on one of four cells; second: 2 1.
    CHECK(tally.sequence_scope.max_violation == doctest::Approx((4 * 0.5 - 1) + (4 * 0.5 - 1)));
    CHECK(tally.sequence_scope.unused == 1 + 2);
    CHECK(tally.together() == std::vector<double>{2, 1, 1, 0, 1, 2, 1, 0, 1, 1, 2, 0, 0, 0, 0, 0});
    // Three cells of equal load, every pair once: as often as the loads say.
    CHECK(tally.lift()[1] == doctest::Approx(1));
    CHECK(tally.lift()[3] == 0);
}

TEST_CASE("pairs that always go together are chosen more often than their loads say") {
    Host host;
    RoutingTally tally;
    tally.add(host.exec, routing_of(host.exec, {4, 2}, {0, 1, 1, 0, 2, 3, 3, 2}, {1, 1, 1, 1, 1, 1, 1, 1}, 4), 1, {true, true, true, true});
    // By loads each of the other three alike: 2 · 2/6; it is 2.
    CHECK(tally.lift()[1] == doctest::Approx(3));
    CHECK(tally.lift()[2] == 0);
}

TEST_CASE("product keys: cells chosen by several heads are counted as repeated, halves have their own usage") {
    Host host;
    RoutingTally tally;
    // Heads 2, k 1, cells 9 = 3².
    tally.add(host.exec, routing_of(host.exec, {2, 2, 1}, {4, 4, 5, 8}, {1, 1, 1, 1}, 9), 1, {true, true});
    CHECK(tally.heads == 2);
    CHECK(tally.repeated == 1);
    REQUIRE(tally.half_counts().size() == 2);
    CHECK(tally.half_counts()[0] == std::vector<double>{0, 3, 1});
    CHECK(tally.half_counts()[1] == std::vector<double>{0, 2, 2});
    CHECK_THROWS(tally.add(host.exec, routing_of(host.exec, {1, 2, 1}, {4, 4}, {1, 1}, 9), 1, {true, true}));
}
