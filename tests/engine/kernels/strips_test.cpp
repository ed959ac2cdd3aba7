#include "engine/kernels/strips.h"

#include <initializer_list>

#include <doctest/doctest.h>

using namespace engine;
using namespace engine::kernels;

TEST_CASE("eight strips of columns stand end to end, and ranks that share them hold whole strips of equal columns") {
    for (Size columns : {0, 1, 15, 16, 33, 100, 128, 412, 512, 640, 1000}) {
        CHECK(strip_begin(columns, kStrips, 0) == 0);
        CHECK(strip_begin(columns, kStrips, kStrips) == columns);
        for (int k = 0; k < kStrips; ++k) {
            CHECK(strip_begin(columns, kStrips, k) % kStripUnit == 0);
            CHECK(strip_begin(columns, kStrips, k) <= strip_begin(columns, kStrips, k + 1));
        }
        for (int ranks : {1, 2, 4, 8}) {
            if (!strips_divide(columns, ranks)) continue;
            Size own = columns / ranks;
            int strips = kStrips / ranks;
            for (int k = 0; k < kStrips; ++k) {
                CHECK(strip_begin(columns, kStrips, k) == k / strips * own + strip_begin(own, strips, k % strips));
            }
        }
    }
    CHECK(strips_divide(412, 1));
    CHECK_FALSE(strips_divide(412, 2));
    CHECK(strips_divide(416, 2));
    CHECK_FALSE(strips_divide(384, 3));
    CHECK_FALSE(strips_divide(512, 16));
    CHECK(strips_divide(512, 8));
}
