#include "apps/json_lines.h"

#include "tests/support/temporary_folder.h"

#include <cmath>
#include <fstream>

#include <doctest/doctest.h>

namespace {

apps::LineFaults read(const std::string& text, std::vector<nlohmann::json>& records) {
    tests::TemporaryFolder folder;
    std::ofstream(folder / "lines.jsonl", std::ios::binary) << text;
    return apps::read_json_lines(folder / "lines.jsonl", [&](const nlohmann::json& record) { records.push_back(record); });
}

}  // namespace

TEST_CASE("a file of JSON lines is read in order, past what is none") {
    std::vector<nlohmann::json> records;
    apps::LineFaults faults = read("{\"a\":1}\n\nwhat\n[1]\n{\"a\":2}\r\n", records);
    REQUIRE(records.size() == 2);
    CHECK(records[1]["a"] == 2);
    CHECK(faults.unreadable == 2);
    CHECK_FALSE(faults.torn);
    CHECK_FALSE(faults.missing);
}

TEST_CASE("a last line that was cut is told apart from a wrong one; a whole one needs no newline") {
    std::vector<nlohmann::json> records;
    apps::LineFaults faults = read("{\"a\":1}\n{\"a\":2", records);
    CHECK(records.size() == 1);
    CHECK(faults.torn);
    CHECK(faults.unreadable == 0);
    records.clear();
    faults = read("{\"a\":1}\n{\"a\":2}", records);
    CHECK(records.size() == 2);
    CHECK_FALSE(faults.torn);
}

TEST_CASE("a file that is not there is missing, and an absent number is not finite") {
    apps::LineFaults faults = apps::read_json_lines("no/such/file.jsonl", [](const nlohmann::json&) { FAIL("nothing to take"); });
    CHECK(faults.missing);
    nlohmann::json object{{"x", 1.5}, {"none", nullptr}, {"word", "w"}};
    CHECK(apps::number_of(object, "x") == 1.5);
    for (const char* name : {"none", "word", "absent"}) CHECK(std::isnan(apps::number_of(object, name)));
    CHECK(std::isnan(apps::number_of(nlohmann::json::array(), "x")));
    CHECK(apps::text_of(object, "word") == "w");
    CHECK(apps::text_of(object, "x").empty());
}
