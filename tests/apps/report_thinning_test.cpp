#include "apps/report_thinning.h"

#include <cmath>

#include <doctest/doctest.h>

TEST_CASE("series that fit are not thinned") {
    CHECK(apps::bucket_starts(0, 10).empty());
    CHECK(apps::bucket_starts(4, 4) == std::vector<std::size_t>{0, 1, 2, 3});
    CHECK(apps::chosen_rows(3, 40) == std::vector<std::size_t>{0, 1, 2});
}

TEST_CASE("buckets cover all rows in order, are few enough, and leave the first rows single") {
    for (std::size_t rows : {11, 997, 10000, 1000003}) {
        for (std::size_t most : {3, 10, 600}) {
            if (rows <= most) continue;
            std::vector<std::size_t> starts = apps::bucket_starts(rows, most);
            CHECK(starts.size() <= most);
            CHECK(starts.front() == 0);
            for (std::size_t i = 1; i < starts.size(); ++i) CHECK(starts[i] > starts[i - 1]);
            CHECK(starts.back() < rows);
            CHECK(apps::chosen_rows(rows, most).back() == rows - 1);
        }
    }
    std::vector<std::size_t> starts = apps::bucket_starts(10000, 600);
    for (std::size_t i = 0; i < 10; ++i) CHECK(starts[i] == i);
}

TEST_CASE("a bucket has the mean, the least and the most of its finite values") {
    const double kNan = NAN;
    std::vector<double> values{1, 3, kNan, 5, kNan, kNan, 7};
    apps::Buckets buckets = apps::bucket_values(values, {0, 2, 4, 6});
    REQUIRE(buckets.mean.size() == 4);
    CHECK(buckets.mean[0] == 2);
    CHECK(buckets.least[0] == 1);
    CHECK(buckets.most[0] == 3);
    CHECK(buckets.mean[1] == 5);
    CHECK(std::isnan(buckets.mean[2]));
    CHECK(std::isnan(buckets.least[2]));
    CHECK(buckets.mean[3] == 7);
}
