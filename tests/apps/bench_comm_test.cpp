#include "apps/comm_constants.h"
#include "tests/support/many_ranks.h"
#include "tests/support/program_output.h"

#include <fstream>
#include <set>

#include <doctest/doctest.h>

using namespace tests;

namespace {

Arguments bench(const Arguments& more) {
    Arguments words{"bench", "comm", "--seconds", "0", "--largest", "0.02"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

void check_document(const nlohmann::json& document, int ranks) {
    CHECK(document["ranks"] == ranks);
    CHECK(document["local_ranks"] == ranks);
    for (const auto& check : document["checks"]) CHECK(check["exact"] == true);
    std::set<std::string> collectives;
    for (const auto& result : document["results"]) {
        collectives.insert(result["collective"]);
        CHECK(result["seconds_min"].get<double>() > 0);
        CHECK(result["seconds_median"].get<double>() >= result["seconds_min"].get<double>());
        double leaving = apps::bus_factor(result["collective"], ranks) * result["bytes"].get<double>();
        CHECK(result["bus_bytes"].get<double>() == leaving);
        CHECK(result["bus_bytes_per_second"].get<double>() == doctest::Approx(leaving / result["seconds_median"].get<double>()));
    }
    CHECK(collectives == std::set<std::string>{"all_gather", "plain_sum", "tree_sum"});
    CHECK(document["constants"]["local"].size() == 3);
}

}  // namespace

TEST_CASE("bench comm of virtual ranks prints one document, and its constants are what plan reads") {
    SmallRuns runs;
    std::string constants = (runs / "comm.json").string();
    auto three = nlohmann::json::parse(printed_by(bench({"--ranks", "3", "--json", "--out", constants})));
    check_document(three, 3);
    check_document(nlohmann::json::parse(printed_by(bench({"--json"}))), 2);
    std::string plan = printed_by({"plan", "-c", (runs / "run.toml").string(), "--ranks", "2", "--comm", constants});
    CHECK(plan.find("(cpu, 3 ranks, " + constants + ")") != std::string::npos);
    CHECK(plan.find("inside a machine (--comm)") == std::string::npos);
    std::string table = printed_by(bench({}));
    CHECK(table.find("2 ranks of cpu (virtual), 2 on this machine; 40 of 40 checks exact; the tree's hash " +
                     three["tree_hash"].get<std::string>()) == 0);
    CHECK(table.find("\ntree_sum             4096 ") != std::string::npos);
}

TEST_CASE("bench comm of launched ranks: one document from the first of them, with the hash of virtual ranks") {
    SmallRuns runs;
    std::string constants = (runs / "comm.json").string();
    for (const std::string& over : ways_to_launch()) {
        CAPTURE(over);
        ProgramResult result = RunningProgram(on_ranks(3, bench({"--json", "--out", constants}), over)).wait();
        REQUIRE_MESSAGE(result.code == 0, result.errors);
        std::size_t begin = result.errors.find('{');
        REQUIRE(begin != std::string::npos);
        auto document = nlohmann::json::parse(result.errors.substr(begin));
        check_document(document, 3);
        CHECK(document["launcher"] == (over == "mpi" ? "Open MPI" : "--rank"));
        CHECK(document["tree_hash"] == nlohmann::json::parse(printed_by(bench({"--json"})))["tree_hash"]);
        CHECK(apps::load_constants(constants).ranks == 3);
        CHECK(RunningProgram(on_ranks(2, bench({"--ranks", "3"}), over)).wait().code != 0);
    }
}

TEST_CASE("bench comm refuses what it cannot do in one line") {
    CHECK(run_program({"bench", "comm", "--device", "simt"}).code == 2);
    CHECK(run_program({"bench", "comm", "--ranks", "0"}).code == 2);
    CHECK(run_program({"bench", "product", "comm"}).code == 2);
    CHECK(run_program({"bench", "comm", "product"}).code == 2);
    ProgramResult result = run_program(bench({"--out", "/no/such/folder/comm.json"}));
    CHECK(result.code == 1);
    CHECK_MESSAGE(result.errors.find("/no/such/folder") != std::string::npos, result.errors);
}
