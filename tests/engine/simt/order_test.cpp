#include "engine/simt/order.h"

#include "tests/support/simt_kernels.h"
#include "tests/support/simt_orders.h"

#include <algorithm>
#include <numeric>

#include <doctest/doctest.h>

using namespace engine::simt;

TEST_CASE("MOEGRAD_SIMT_ORDER is read exactly") {
    CHECK(parse_order("forward").direction == Direction::forward);
    CHECK(parse_order("backward").direction == Direction::backward);
    CHECK(parse_order("random").direction == Direction::random);
    CHECK(parse_order("random:12").seed == 12);
    for (const char* wrong : {"", "Forward", "random:", "random:x", "random:1x", "sideways"}) {
        CHECK_THROWS_WITH(parse_order(wrong), doctest::Contains("expected forward, backward, random"));
    }
}

TEST_CASE("a shuffler permutes, the same way for the same seed and launch") {
    std::vector<unsigned> forward(50), backward, random, again, other;
    std::iota(forward.begin(), forward.end(), 0u);
    backward = random = again = other = forward;
    Shuffler({Direction::backward, 0}, 0).arrange(backward);
    CHECK(std::equal(forward.begin(), forward.end(), backward.rbegin()));
    Shuffler({Direction::random, 4}, 1).arrange(random);
    Shuffler({Direction::random, 4}, 1).arrange(again);
    Shuffler({Direction::random, 4}, 2).arrange(other);
    CHECK(random != forward);
    CHECK(random == again);
    CHECK(random != other);
    std::sort(random.begin(), random.end());
    CHECK(random == forward);
}

TEST_CASE("a right kernel does not depend on the order of its threads; one without its barrier does") {
    std::vector<int> x(96);
    std::iota(x.begin(), x.end(), 0);
    std::vector<std::vector<int>> racing;
    for_each_simt_order([&] {
        std::vector<int> y = simt_kernels::reverse_through_shared(x, 96);
        CHECK(std::equal(x.begin(), x.end(), y.rbegin()));
        racing.push_back(simt_kernels::missing_barrier(96));
    });
    CHECK(racing[0][0] == -1);  // forward: thread 1 has not written yet
    CHECK(racing[1][0] == 1);   // backward: it has
    CHECK(racing[0] != racing[1]);
    CHECK(racing[2] != racing[3]);
}
