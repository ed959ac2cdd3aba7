#include "apps/bench_cases.h"
#include "apps/command.h"

#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

TEST_CASE("bench --json prints one document with every case of the named kernel and the measured ceilings") {
    std::ostringstream out, errors;
    auto* before = std::cout.rdbuf(out.rdbuf());
    int code = apps::run_program({"bench", "layer_norm", "--json", "--seconds", "0", "--dtype", "float32"}, errors);
    std::cout.rdbuf(before);
    INFO(errors.str());
    REQUIRE(code == apps::kDone);
    auto document = nlohmann::json::parse(out.str());
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
    std::ostringstream errors;
    CHECK(apps::run_program({"bench", "warp"}, errors) == apps::kWrongUsage);
    CHECK(errors.str().find("got warp, expected one of product") != std::string::npos);
}

TEST_CASE("bench refuses the device that checks kernels but cannot time them") {
    std::ostringstream errors;
    CHECK(apps::run_program({"bench", "product", "--device", "simt"}, errors) == apps::kWrongUsage);
    CHECK(errors.str().find("simt checks kernels and does not time them") != std::string::npos);
}
