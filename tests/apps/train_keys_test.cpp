// Whole runs of product keys: what a resume, other ranks and evaluation must keep, the query norm's statistics among it.
#include "tests/support/small_runs.h"

#include <fstream>

#include <doctest/doctest.h>

using namespace tests;

namespace {

const char* kPeer = "method = \"peer\"\nsub_keys = 4\nheads = 2\nk = 3\nquery_size = 4\nquery_norm = \"batch\"";
const char* kMemory =
    "method = \"memory-plus\"\nshare_values = true\nsub_keys = 4\nheads = 2\nk = 3\nquery_size = 4\nquery_norm = \"layer\"";
const char* kLowRank = "method = \"lorkm\"\ncells = 1100\nrank = 3\nk = 5";

}  // namespace

TEST_CASE("runs of keys and cells stop and go on, and have equal bits on 1, 2 and 4 virtual ranks") {
    for (const char* method : {kPeer, kMemory, kLowRank}) {
        CAPTURE(method);
        SmallRuns runs;
        runs.set_feed_forward(method);
        check_stops_and_ranks(runs);
    }
}

TEST_CASE("a run with accumulation keeps the running statistics that its passes left, and evaluates and generates with them") {
    SmallRuns runs;
    runs.set_feed_forward(kPeer);
    REQUIRE(run_program(runs.train("run", {"train.accumulate=2", "train.lr_scale.values=4", "train.lr_scale.query=0.5"})).code == 0);
    auto tensors = tensors_of(runs / "run/checkpoints/step-12");
    const auto& mean = tensors.at("model.safetensors blocks.0.ffn.query_norm.mean");
    CHECK(mean != std::vector<double>(mean.size(), 0.0));
    CHECK(run_program({"eval", (runs / "run").string(), "--json"}).code == 0);
    CHECK(run_program({"generate", (runs / "run").string(), "--prompt", "the moon", "--max-tokens", "3", "--json"}).code == 0);
}

TEST_CASE("with table_rows = touched, cells that no token read stay as they began, and the bits are those of any number of ranks") {
    SmallRuns runs;
    runs.set_feed_forward("method = \"peer\"\nsub_keys = 20\nheads = 1\nk = 2\nquery_size = 4");
    check_stops_and_ranks(runs, {"train.table_rows=touched", "train.weight_decay=0.1", "train.decay_scale.query=0"});
    REQUIRE(run_program(runs.train("begin", {"train.steps=0"})).code == 0);
    auto end = tensors_of(runs / "whole/checkpoints/step-12"), begin = tensors_of(runs / "begin/checkpoints/step-0");
    const std::string name = "model.safetensors blocks.0.ffn.values";
    const auto &now = end.at(name), &then = begin.at(name);
    std::size_t kept = 0, rows = 400, width = now.size() / rows;
    for (std::size_t r = 0; r < rows; ++r)
        kept += std::equal(now.begin() + r * width, now.begin() + (r + 1) * width, then.begin() + r * width);
    CHECK(kept > 0);
    CHECK(kept < rows);
}

TEST_CASE("layers of memory-plus that share their values have one table, written once") {
    SmallRuns runs;
    runs.set_feed_forward(kMemory);
    REQUIRE(run_program(runs.train("run", {"train.steps=1", "train.schedule_steps=1"})).code == 0);
    auto tensors = tensors_of(runs / "run/checkpoints/step-1");
    CHECK(tensors.contains("model.safetensors blocks.0.ffn.values"));
    CHECK_FALSE(tensors.contains("model.safetensors blocks.1.ffn.values"));
    CHECK(tensors.contains("model.safetensors blocks.1.ffn.subkeys"));
    runs.set_feed_forward("method = \"pkm\"\nshare_values = true\nsub_keys = 4\nheads = 2\nk = 3\nquery_size = 4");
    CHECK(run_program(runs.train("other")).errors.find("ffn.share_values is for memory-plus") != std::string::npos);
}

TEST_CASE("moe.jsonl tells how the cells of product keys are used") {
    SmallRuns runs;
    runs.set_feed_forward(kLowRank);
    REQUIRE(run_program(runs.train("run", {"train.steps=2", "train.schedule_steps=2"})).code == 0);
    std::ifstream in(runs / "run/moe.jsonl");
    std::string line;
    REQUIRE(std::getline(in, line));
    nlohmann::json record = nlohmann::json::parse(line);
    CHECK(record["cells"] == 1100);
    CHECK(record["load"].size() == 550);
    CHECK(record["usage"] > 0.0);
    CHECK(record["usage"] < 1.0);
}
