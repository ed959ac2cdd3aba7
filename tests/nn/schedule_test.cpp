#include "nn/schedule.h"

#include <doctest/doctest.h>

using nn::Schedule;

TEST_CASE("cosine with warm-up gives the σ-MoE paper's last learning rate") {
    // sigma-moe.md 3.2: lr 2.5e-4, w = 4000, 100,000 steps: the released code's horizon counts from w and ends at 9.9e-7.
    Schedule schedule{Schedule::Kind::cosine, 2.5e-4, 4000, 100000};
    CHECK(schedule.at(0) == doctest::Approx(2.5e-4 / 4000));
    CHECK(schedule.at(3999) == doctest::Approx(2.5e-4));
    CHECK(schedule.at(4000) == doctest::Approx(2.5e-4));
    CHECK(schedule.at(99999) == doctest::Approx(9.9e-7).epsilon(0.01));
}

TEST_CASE("every schedule ends at zero beyond its horizon, but the constant one") {
    for (auto kind : {Schedule::Kind::cosine, Schedule::Kind::linear, Schedule::Kind::wsd}) {
        Schedule schedule{kind, 1.0, 10, 100};
        CHECK(schedule.at(110) == 0.0);
        CHECK(schedule.at(109) > 0.0);
        CHECK(schedule.at(10) == doctest::Approx(1.0));
    }
    CHECK(Schedule{Schedule::Kind::constant, 1.0, 10, 100}.at(1000) == 1.0);
}

TEST_CASE("wsd stays flat for four fifths and then falls in a line") {
    Schedule schedule{Schedule::Kind::wsd, 1.0, 0, 100};
    CHECK(schedule.at(79) == 1.0);
    CHECK(schedule.at(90) == doctest::Approx(0.5));
}
