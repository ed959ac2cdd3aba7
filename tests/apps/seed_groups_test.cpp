#include "apps/seed_groups.h"

#include "apps/report_document.h"
#include "apps/report_summary.h"

#include <cmath>

#include <doctest/doctest.h>

using namespace apps;

namespace {

RunReport run_of(const std::string& name, const std::string& seed, const std::string& lr, double bits) {
    RunReport run{.name = name, .method = "dense", .config = {{"seed", seed}, {"train.lr", lr}}};
    run.evaluations = {{.split = "valid", .step = 10, .tokens = 100, .seconds = 1, .nats_per_token = 1, .bits_per_byte = bits}};
    return run;
}

}  // namespace

TEST_CASE("runs that differ only in their seed are a group; another setting, the same seed, or no configuration is another") {
    std::vector<RunReport> runs{run_of("a seed 1", "1", "0.1", 2), run_of("b", "1", "0.2", 3), run_of("a seed 12", "12", "0.1", 2.2),
                                run_of("again", "1", "0.1", 2),    {.name = "bare"},           {.name = "bare 2"}};
    std::vector<SeedGroup> groups = seed_groups(runs);
    REQUIRE(groups.size() == 5);
    CHECK(groups[0].runs == std::vector<std::size_t>{0, 2});
    CHECK(groups[0].name == "a");
    CHECK(groups[1].name == "b");
    CHECK(groups[2].name == "again");
}

TEST_CASE("a group is named by what its runs' names have in common") {
    auto name = [](const std::string& first, const std::string& second) {
        return seed_groups({run_of(first, "1", "0.1", 2), run_of(second, "2", "0.1", 2)}).front().name;
    };
    CHECK(name("grid/moe/lr-0.1/seed-1", "grid/moe/lr-0.1/seed-2") == "grid/moe/lr-0.1");
    CHECK(name("dense1", "dense2") == "dense");
    CHECK(name("1", "2") == "1");
}

TEST_CASE("the spread is that of the finite values: mean, sample deviation, least and most") {
    ValueSpread spread = value_spread({2, 4, NAN, 9});
    CHECK(spread.values.size() == 3);
    CHECK(spread.mean == 5);
    CHECK(spread.deviation == doctest::Approx(std::sqrt((9.0 + 1 + 16) / 2)));
    CHECK(spread.least == 2);
    CHECK(spread.most == 9);
    CHECK(std::isnan(value_spread({3}).deviation));
    CHECK(std::isnan(value_spread({}).mean));
}

TEST_CASE("the verdict speaks of the means of groups, and the document has them") {
    std::vector<RunReport> runs{run_of("a 1", "1", "0.1", 2), run_of("a 2", "2", "0.1", 2.2), run_of("b 1", "1", "0.2", 3),
                                run_of("b 2", "2", "0.2", 3)};
    CHECK(
        verdict(runs).starts_with("a (2 seeds) is ahead of b (2 seeds) on valid text: 2.100 ± 0.141 bits per byte against 3.000 ± 0.000"));
    nlohmann::ordered_json document = report_document(runs);
    REQUIRE(document["groups"].size() == 2);
    CHECK(document["groups"][0]["splits"]["valid"]["mean"] == 2.1);
    CHECK(document["runs"][3]["group"] == 1);
    runs[1].evaluations.front().bits_per_byte = NAN;
    CHECK(verdict(runs).find("a (2 seeds) has no finite value there") != std::string::npos);
    CHECK(verdict({run_of("a 1", "1", "0.1", 2), run_of("a 2", "2", "0.1", 2.2)}) ==
          "a (2 seeds) reached 2.100 ± 0.141 bits per byte on valid text.");
}
