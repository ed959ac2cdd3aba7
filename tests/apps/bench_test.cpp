#include "apps/bench_cases.h"
#include "apps/command.h"
#include "tests/support/program_output.h"

#include <nlohmann/json.hpp>
#include <set>

#include <doctest/doctest.h>

TEST_CASE("bench --json prints one document with every case of the named kernel and the measured ceilings") {
    auto document = nlohmann::json::parse(tests::printed_by({"bench", "layer_norm", "--json", "--seconds", "0", "--dtype", "float32"}));
    CHECK(document["ceilings"]["float32_flops"].get<double>() > 1e6);
    CHECK(document["ceilings"]["copy_bytes"].get<double>() > 1e6);
    REQUIRE(document["results"].size() == 4);
    for (const auto& result : document["results"]) {
        CHECK(result["kernel"] == "layer_norm");
        CHECK(result["seconds_min"].get<double>() > 0);
        CHECK(result["seconds_median"].get<double>() >= result["seconds_min"].get<double>());
        CHECK(result["calls"].get<int>() >= 5);
    }
}

TEST_CASE("every benched case has a name of its own and work to do") {
    std::set<std::string> names;
    std::size_t count = 0;
    for (const auto& cases : {apps::product_cases(), apps::kernel_cases(), apps::rows_cases(), apps::layer_cases(), apps::step_cases()}) {
        for (const apps::BenchCase& one : cases) {
            names.insert(one.kernel + one.shape + engine::dtype_name(one.dtype));
            CHECK(one.flops + one.bytes + one.row_bytes > 0);
            ++count;
        }
    }
    CHECK(names.size() == count);
}

TEST_CASE("bench of an unknown kernel lists those that there are") {
    tests::ProgramResult result = tests::run_program({"bench", "warp"});
    CHECK(result.code == apps::kWrongUsage);
    CHECK(result.errors.find("got warp, expected one of product") != std::string::npos);
}

TEST_CASE("bench refuses the device that checks kernels but cannot time them") {
    tests::ProgramResult result = tests::run_program({"bench", "product", "--device", "simt"});
    CHECK(result.code == apps::kWrongUsage);
    CHECK(result.errors.find("simt checks kernels and does not time them") != std::string::npos);
}
