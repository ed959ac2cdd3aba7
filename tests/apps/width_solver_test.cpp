#include "apps/width_solver.h"

#include "engine/base/error.h"

#include <cmath>

#include <doctest/doctest.h>

using apps::nearest_width;
using apps::Size;

TEST_CASE("the solver finds the nearest multiple, for every target, as a search over all widths does") {
    for (Size multiple : {1, 3, 8}) {
        auto amount = [](Size width) { return 7.0 + 3.0 * static_cast<double>(width * width); };
        for (double target : {0.0, 7.0, 10.0, 18.0, 19.0, 1000.0, 123456.0, 1e9}) {
            apps::Width found = nearest_width(target, multiple, amount);
            Size best = multiple;
            for (Size width = multiple; amount(width - multiple) <= target; width += multiple) {
                if (std::abs(amount(width) - target) < std::abs(amount(best) - target)) best = width;
            }
            CHECK(found.width == best);
            CHECK(found.amount == amount(best));
        }
    }
}

TEST_CASE("widths that cannot be built are passed over, below and above") {
    auto between = [](Size least, Size most) {
        return [=](Size width) {
            if (width < least) engine::fail("ffn", "too narrow: {}", width);
            if (width > most) engine::fail("ffn", "too wide: {}", width);
            return static_cast<double>(width);
        };
    };
    CHECK(nearest_width(50, 1, between(5, 1000)).width == 50);
    CHECK(nearest_width(3, 1, between(5, 1000)).width == 5);
    CHECK(nearest_width(5000, 1, between(5, 1000)).width == 1000);
    CHECK(nearest_width(50, 7, between(5, 1000)).width == 49);
    CHECK_THROWS_WITH(nearest_width(50, 1, between(0, -1)), "[ffn] too wide: 1");
}

TEST_CASE("an amount that does not depend on the width gives the widest, and ends") {
    CHECK(nearest_width(2, 1, [](Size) { return 1.0; }).amount == 1.0);
    CHECK(nearest_width(1, 1, [](Size) { return 1.0; }).width == 1);
}
