#include "engine/base/shape.h"

#include "engine/base/error.h"

#include <doctest/doctest.h>

using engine::Shape;
using engine::Size;

TEST_CASE("a shape counts its elements, and refuses more than a size can hold") {
    CHECK(Shape{}.elements() == 1);
    CHECK(Shape{}.rows() == 1);
    CHECK(Shape{2, 3, 4}.elements() == 24);
    CHECK(Shape{2, 3, 4}.rows() == 6);
    CHECK(Shape{5, 0}.elements() == 0);
    CHECK(Shape{Size{1} << 31, Size{1} << 31}.elements() == Size{1} << 62);
    CHECK_THROWS_WITH((Shape{Size{1} << 31, Size{1} << 31, 2}.elements()),
                      "[shape] a tensor has too many elements: got (2147483648, 2147483648, 2), expected at most 2^63 - 1");
    CHECK_THROWS(Shape{-1});
}
