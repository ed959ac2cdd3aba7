#include "apps/co_selection.h"

#include <doctest/doctest.h>

using apps::CoSelection;

TEST_CASE("rows that chose two experts are counted once for each order, cells named twice once, nobody not at all") {
    CoSelection pairs(4, 2);
    pairs.add({0, 1, 0, 2, 2, 1, 3, 3, -1, -1});
    CHECK(pairs.together() == std::vector<double>{2, 1, 1, 0, 1, 2, 1, 0, 1, 1, 2, 0, 0, 0, 0, 1});
    CHECK(pairs.expected()[0] == 0);
    CHECK(pairs.expected()[1] == pairs.expected()[4]);
}

TEST_CASE("experts of even load that meet every other one alike meet as often as their loads say") {
    CoSelection pairs(3, 2);
    pairs.add({0, 1, 0, 2, 2, 1});
    CHECK(pairs.expected()[1] == doctest::Approx(1));
    CHECK(pairs.expected()[5] == doctest::Approx(1));
}

TEST_CASE("experts that always go together do so more often than their loads say") {
    CoSelection pairs(4, 2);
    pairs.add({0, 1, 1, 0, 2, 3, 3, 2});
    // Each of the other three alike: 2 rows of 1/3; it is 2.
    CHECK(pairs.expected()[1] == doctest::Approx(2.0 / 3));
    CHECK(pairs.together()[1] == 2);
}

TEST_CASE("of one choice a row, and of very many cells, no pairs are counted") {
    CHECK_FALSE(CoSelection(4, 1).counted());
    CoSelection many(CoSelection::kMostCells + 1, 2);
    many.add({0, 1});
    CHECK_FALSE(many.counted());
    CHECK(many.expected().empty());
}
