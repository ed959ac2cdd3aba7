// Whole runs of routers: what a resume, other ranks, evaluation and decoding must keep.
#include "tests/support/small_runs.h"

#include <fstream>

#include <doctest/doctest.h>

using namespace tests;

namespace {

struct Row {
    const char* name;
    const char* options;
};

const Row kRows[] = {
    {"noisy-topk", "n_experts = 4\nexpert_size = 5\nk = 2\ncv_weight = 0.01"},
    {"base", "n_experts = 5\nexpert_size = 5\nresidual_mix = true"},
    {"s-base", "n_experts = 4\nexpert_size = 5\nk = 2"},
    {"hash", "n_experts = 4\nexpert_size = 5\nk = 2"},
    {"rand-hash", "n_experts = 4\nexpert_size = 5\nk = 2\nvocab = 256"},
    {"expert-choice", "n_experts = 4\nexpert_size = 5\nsoftmax_over = \"tokens\""},
    {"deepseek", "n_experts = 6\nexpert_size = 5\nk = 2\nn_shared = 1\nscore = \"sigmoid\"\nbalance_weight = 0.01\nbias_rate = 0.01"},
    {"avg-k", "n_experts = 6\nexpert_size = 5\nk = 2\ngate = \"softmax-all\""},
    {"vanilla-m", "n_experts = 6\nexpert_size = 5\nk = 2\non = \"post\""},
};

std::string text_of(const Row& row) { return std::string("method = \"") + row.name + "\"\n" + row.options; }

}  // namespace

TEST_CASE("runs of routers stop and go on, and have equal bits on 1, 2 and 4 virtual ranks") {
    for (const Row& row : kRows) {
        INFO(text_of(row));
        SmallRuns runs;
        runs.set_feed_forward(text_of(row));
        check_stops_and_ranks(runs);
    }
}

TEST_CASE("runs of routers learn, in bf16 and in several passes a step too, are evaluated, and write what their choices were") {
    for (const Row& row : kRows) {
        INFO(text_of(row));
        SmallRuns runs;
        runs.set_feed_forward(text_of(row));
        REQUIRE(run_program(runs.train("run", {"train.dtype=bfloat16", "train.accumulate=2", "model.dropout=0"})).code == 0);
        std::vector<nlohmann::json> records = metrics_of(runs / "run");
        CHECK(records.back()["usage"] > 0.3);  // two experts of six at least
        double first = records.front()["loss"], last = first;
        for (const nlohmann::json& record : records) last = record.contains("loss") ? record["loss"].get<double>() : last;
        CHECK(last < first);
        CHECK(run_program({"eval", (runs / "run").string(), "--json"}).code == 0);
    }
}

TEST_CASE("runs of routers write token by token, hash by the tokens' ids; expert choice says why it cannot") {
    for (const Row& row : kRows) {
        INFO(text_of(row));
        SmallRuns runs;
        runs.set_feed_forward(text_of(row));
        REQUIRE(run_program(runs.train("run", {"train.steps=1", "train.schedule_steps=1", "train.eval_every=1"})).code == 0);
        ProgramResult result = run_program({"generate", (runs / "run").string(), "--prompt", "the moon", "--max-tokens", "3", "--json"});
        bool writes = row.name != std::string("expert-choice");
        CHECK(result.code == (writes ? 0 : 1));
        CHECK(std::filesystem::exists(runs / "run/samples/step-1.txt") == writes);
        if (!writes) CHECK(result.errors.find("[generate] expert-choice cannot write token by token") != std::string::npos);
    }
}

TEST_CASE("a run's balanced table gives experts equal shares of the training text, whatever its letters' frequencies") {
    SmallRuns runs;
    runs.set_feed_forward("method = \"hash\"\nn_experts = 3\nexpert_size = 5\nk = 1");
    REQUIRE(run_program(runs.train("run", {"train.steps=2", "train.schedule_steps=2", "train.batch=64", "train.micro_batch=64"})).code ==
            0);
    std::vector<nlohmann::json> records = metrics_of(runs / "run");
    for (double share : records.back()["load"]) CHECK(std::abs(share - 1.0 / 3) < 0.08);
}

TEST_CASE("DeepSeek's bias moves once a step, by the counts of all its passes") {
    SmallRuns runs;
    runs.set_feed_forward(text_of(kRows[6]));
    REQUIRE(run_program(runs.train("run", {"train.steps=3", "train.schedule_steps=3", "train.accumulate=2"})).code == 0);
    auto tensors = tensors_of(runs / "run/checkpoints/step-3");
    double moved = 0, highest = -1;
    for (double bias : tensors.at("model.safetensors blocks.0.ffn.router.bias")) {
        double steps = bias / 0.01;
        CHECK(std::abs(steps - std::round(steps)) < 1e-4);
        CHECK(std::abs(steps) < 3.001);
        moved = std::max(moved, std::abs(steps));
        highest = std::max(highest, steps);
    }
    CHECK(moved > 0.5);
    CHECK(highest > 0.5);  // some experts are below their share of both passes
}
