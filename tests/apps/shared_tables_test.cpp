// Runs whose ranks share tables by column: the same files as one rank's, and any layout goes on from any other.
#include "tests/support/many_ranks.h"
#include "tests/support/program_output.h"

#include <array>
#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

using namespace tests;

namespace {

constexpr const char* kModel =
    "[model]\nkind = \"transformer-xl\"\nchannels = 64\nlayers = 2\nheads = 2\nhead_size = 6\ndropout = 0.1\n[ffn]\nsub_keys = 5\nheads = "
    "2\nk = 3\nquery_size = 6\n";
constexpr const char* kPkm = "method = \"pkm\"\nquery_norm = \"batch\"\n";
constexpr const char* kPeer = "method = \"peer\"\nquery_norm = \"batch\"\nglu = true\n";
constexpr const char* kMemory = "method = \"memory-plus\"\nshare_values = true\n";

Arguments layout(int ranks, int tables, int zero, Arguments more = {}) {
    more.push_back("parallel.ranks=" + std::to_string(ranks));
    more.push_back("parallel.table_shards=" + std::to_string(tables));
    more.push_back("parallel.zero=" + std::to_string(zero));
    return more;
}

void run(const SmallRuns& runs, const std::string& out, const Arguments& words, int code = 0) {
    ProgramResult result = run_program(runs.train(out, words));
    CHECK_MESSAGE(result.code == code, result.errors);
}

}  // namespace

TEST_CASE("runs whose ranks share tables by column end in the bits of one rank, and go on at any other layout") {
    for (auto [method, settings] : {std::pair<const char*, Arguments>{kPkm, {"train.table_rows=touched"}},
                                    {kPeer, {"train.dtype=bfloat16"}},
                                    {kMemory, {"train.accumulate=2", "train.micro_batch=1"}}}) {
        CAPTURE(method);
        SmallRuns runs;
        runs.set_model(std::string(kModel) + method);
        run(runs, "one", settings);
        for (auto [ranks, tables, zero] : {std::array{2, 2, 0}, {4, 2, 1}, {4, 4, 0}}) {
            CAPTURE(ranks);
            CAPTURE(tables);
            std::string out = std::to_string(ranks) + "-" + std::to_string(tables);
            Arguments words = layout(ranks, tables, zero, settings);
            words.push_back("--check-ranks=3");
            run(runs, out, words);
            check_equal_runs(runs / "one", runs / out);
        }
        auto until = [&](int step, Arguments words) {
            words.push_back("--stop-at=" + std::to_string(step));
            return words;
        };
        run(runs, "changing", until(3, layout(4, 4, 1, settings)), 75);
        run(runs, "changing", until(5, layout(4, 2, 0, settings)), 75);
        run(runs, "changing", until(7, settings), 75);
        run(runs, "changing", until(9, layout(2, 1, 1, settings)), 75);
        run(runs, "changing", layout(2, 2, 1, settings));
        check_equal_runs(runs / "one", runs / "changing");
    }
}

TEST_CASE("launched ranks share tables by column in the bits of one rank") {
    SmallRuns runs;
    runs.set_model(std::string(kModel) + kPeer);
    run(runs, "one", {});
    for (const std::string& over : ways_to_launch()) {
        CAPTURE(over);
        ProgramResult result = RunningProgram(on_ranks(4, runs.train(over, {"parallel.table_shards=2", "parallel.zero=1"}), over)).wait();
        CHECK_MESSAGE(result.code == 0, result.errors);
        check_equal_runs(runs / "one", runs / over);
    }
}

TEST_CASE("what a rank holds of a shared table is planned") {
    SmallRuns runs;
    runs.set_model(std::string(kModel) + kPeer);
    auto plan = [&](const std::string& tables) {
        return nlohmann::json::parse(printed_by({"plan", "-c", (runs / "run.toml").string(), "--set", "parallel.ranks=4", "--set",
                                                 "parallel.table_shards=" + tables, "--json"}));
    };
    nlohmann::json whole = plan("1"), shared = plan("4");
    // Two layers with keys, gate keys and values of 25 rows of 64; three quarters of them are the other ranks'.
    for (const char* kind : {"parameters", "gradients"}) {
        CHECK(whole["memory_bytes"][kind].get<double>() - shared["memory_bytes"][kind].get<double>() == 2 * 3 * 25 * 64 * 3 / 4 * 4);
    }
    CHECK(shared["communication_bytes"]["exchanges"].get<double>() > 0);
}

TEST_CASE("tables that ranks cannot share are refused in one line, before the first step") {
    SmallRuns runs;
    runs.set_model(std::string(kModel) + kPkm);
    auto refused = [&](const Arguments& words, const std::string& message) {
        ProgramResult result = run_program(runs.train("refused", words));
        CHECK(result.code == 1);
        CHECK_MESSAGE(result.errors.find(message) != std::string::npos, result.errors);
    };
    refused(layout(3, 3, 0), "parallel.table_shards is no number of parts: got 3, expected 1, 2, 4 or 8");
    refused(layout(3, 2, 0), "parallel.table_shards must divide the ranks: got 2 for 3 ranks; hint: set parallel.table_shards to 1");
    refused(layout(2, 2, 0, {"model.channels=70"}),
            "2 ranks cannot share the columns of blocks.0.ffn.values: got 70, expected a multiple of 32; hint: the nearest model.channels "
            "is 64");
    refused(layout(6, 2, 0, {"train.batch=7", "train.micro_batch=1"}), "must hold a whole subtree");
    runs.set_feed_forward("method = \"dense\"\nhidden = 20\n");
    refused(layout(2, 2, 0), "divides the columns of tables that product keys choose from, and dense has none");
    runs.set_feed_forward("method = \"avg-k\"\nn_experts = 4\nexpert_size = 4\nk = 2\n");
    refused(layout(2, 2, 0), "divides the columns of tables that product keys choose from, and avg-k has none");
}
