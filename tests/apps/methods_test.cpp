#include "apps/command.h"
#include "moe/methods/table.h"
#include "tests/support/program_output.h"

#include <map>
#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

TEST_CASE("methods --json lists every row of the table with its parts, parameters and FLOPs, the selector's included") {
    auto list = nlohmann::json::parse(tests::printed_by({"methods", "--width", "128", "--json"}));
    REQUIRE(list.size() == moe::methods().size());
    std::map<std::string, nlohmann::json> rows;
    for (const auto& row : list) {
        for (const char* key : {"name", "selector", "gate", "memory", "balance"}) CHECK(row[key].is_string());
        CHECK(row["parameters"].is_number_unsigned());
        CHECK(row["flops"].get<double>() >= row["selector_flops"].get<double>());
        rows[row["name"]] = row;
    }
    // C = 128, F = 512, E = 16, G = 32, K = 4.
    CHECK(rows["dense"]["parameters"] == 2 * 128 * 512);
    CHECK(rows["dense"]["flops"] == 4.0 * 128 * 512);
    CHECK(rows["sigma-moe"]["parameters"] == 128 * 16 + 2 * 16 * 128 * 32);
    CHECK(rows["sigma-moe"]["flops"] == 2.0 * 128 * 16 + 4.0 * 4 * 128 * 32);
    CHECK(rows["sigma-moe"]["selector_flops"] == 2.0 * 128 * 16);
}

TEST_CASE("methods prints one line a row; impossible sizes are wrong usage") {
    std::string text = tests::printed_by({"methods"});
    for (const moe::Method& method : moe::methods()) CHECK(text.find(std::string(method.name) + " ") != std::string::npos);
    CHECK(tests::run_program({"methods", "--k", "17"}).code == apps::kWrongUsage);
    CHECK(tests::run_program({"methods", "--width", "0"}).code == apps::kWrongUsage);
}
