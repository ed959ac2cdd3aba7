// Whole runs over ranks: the same bits for every number of them, whether or not the optimizer's state is cut, and across resumes.
#include "tests/support/small_runs.h"

#include <algorithm>

#include <doctest/doctest.h>

using namespace tests;

namespace {

const char* kDense = "method = \"dense\"\nhidden = 20\nbias = true";
const char* kSigmaMoe = "method = \"sigma-moe\"\nn_experts = 4\nexpert_size = 5\nk = 2\nentropy_weight = 0.01\nexpert_dropout = 0.2";
const char* kPkm = "method = \"pkm\"\nsub_keys = 4\nheads = 2\nk = 3\nquery_size = 4\nquery_norm = \"batch\"";
const char* kPeer = "method = \"peer\"\nsub_keys = 4\nheads = 2\nk = 3\nquery_size = 4\nquery_norm = \"batch\"";
const char* kLargeTables = "method = \"peer\"\nsub_keys = 20\nheads = 2\nk = 3\nquery_size = 4\nquery_norm = \"batch\"";
const char* kMemory =
    "method = \"memory-plus\"\nshare_values = true\nsub_keys = 4\nheads = 2\nk = 3\nquery_size = 4\nquery_norm = \"layer\"";

Arguments with(Arguments settings, const Arguments& more) {
    settings.insert(settings.end(), more.begin(), more.end());
    return settings;
}

std::string ranks(int count) { return "parallel.ranks=" + std::to_string(count); }

}  // namespace

TEST_CASE("1, 2, 3, 4 and 8 ranks train to equal bits, with the optimizer's state whole and cut") {
    for (const char* method : {kDense, kSigmaMoe, kPkm, kPeer, kMemory}) {
        CAPTURE(method);
        SmallRuns runs;
        runs.set_feed_forward(method);
        const Arguments settings{"train.micro_batch=1"};
        REQUIRE(run_program(runs.train("one", settings)).code == 0);
        for (int count : {2, 3, 4, 8}) {
            for (const char* zero : {"parallel.zero=0", "parallel.zero=1"}) {
                std::string out = ranks(count) + zero;
                INFO(out);
                CHECK(run_program(runs.train(out, with(settings, {ranks(count), zero}))).code == 0);
                check_equal_runs(runs / "one", runs / out);
            }
        }
    }
}

TEST_CASE("any number of ranks up to the micro-shards has the bits of one rank") {
    SmallRuns runs;
    for (int batch : {5, 6, 7, 12}) {
        const Arguments settings{"train.micro_batch=1", "train.batch=" + std::to_string(batch), "train.steps=4", "train.log_every=1"};
        REQUIRE(run_program(runs.train("one", settings)).code == 0);
        for (int count = 2; count <= batch; ++count) {
            CAPTURE(batch);
            CAPTURE(count);
            CHECK(run_program(runs.train(ranks(count), with(settings, {ranks(count), "parallel.zero=1"}))).code == 0);
            CHECK(metrics_of(runs / "one") == metrics_of(runs / ranks(count)));
            CHECK(tensors_of(runs / "one/checkpoints/step-4") == tensors_of(runs / ranks(count) / "checkpoints/step-4"));
            std::filesystem::remove_all(runs / ranks(count));
        }
        std::filesystem::remove_all(runs / "one");
        CHECK(run_program(runs.train("more", with(settings, {ranks(batch + 1)}))).code == 1);
    }
}

TEST_CASE("the optimizer's state may be cut wherever rows, rates and shared parameters end") {
    const Arguments many{"train.micro_batch=1", "parallel.zero=1"};
    struct Case {
        const char* method;
        Arguments settings;
    };
    // Tables of 400 rows of 22 values: ranks end within a row.
    for (const Case& c : {Case{kLargeTables,
                               {"train.table_rows=touched", "train.lr_scale.values=4", "train.decay_scale.query=0",
                                "train.weight_decay=0.1", "model.channels=22", "model.head_size=11"}},
                          Case{kSigmaMoe, {"model.tied=true", "train.dtype=bfloat16"}},
                          Case{kMemory, {"train.accumulate=2", "train.dtype=bfloat16", "train.table_rows=touched"}},
                          Case{kSigmaMoe, {"train.dtype=float64", "model.tied=true", "train.accumulate=2"}}}) {
        SmallRuns runs;
        runs.set_feed_forward(c.method);
        REQUIRE(run_program(runs.train("one", with(c.settings, {"train.micro_batch=1"}))).code == 0);
        for (int count : {2, 4}) {
            CAPTURE(c.settings.front());
            CAPTURE(count);
            CHECK(run_program(runs.train(ranks(count), with(with(c.settings, many), {ranks(count)}))).code == 0);
            check_equal_runs(runs / "one", runs / ranks(count));
        }
    }
}

TEST_CASE("a run goes on at any other number of ranks, its optimizer's state whole or cut before and after") {
    const Arguments settings{"train.micro_batch=1", "train.dtype=bfloat16", "train.steps=16", "train.eval_every=0", "train.save_every=0"};
    SmallRuns runs;
    REQUIRE(run_program(runs.train("whole", settings)).code == 0);
    // Every ordered pair of layouts, one step apart.
    const std::vector<Arguments> layouts{
        {ranks(1), "parallel.zero=1"}, {ranks(2), "parallel.zero=0"}, {ranks(4), "parallel.zero=1"}, {ranks(8), "parallel.zero=1"}};
    for (std::size_t apart = 1; apart < layouts.size(); ++apart) {
        std::string out = "apart" + std::to_string(apart);
        for (std::size_t step = 1; step <= 15; ++step) {
            Arguments layout = with(layouts[step * apart % layouts.size()], {"--stop-at=" + std::to_string(step)});
            CHECK(run_program(runs.train(out, with(settings, layout))).code == 75);
        }
        CHECK(run_program(runs.train(out, settings)).code == 0);
        CHECK(metrics_of(runs / "whole") == metrics_of(runs / out));
        CHECK(tensors_of(runs / "whole/checkpoints/step-16") == tensors_of(runs / out / "checkpoints/step-16"));
    }
}

TEST_CASE("every rank writes its own part of the optimizer's state, and a missing part is an error that names it") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("run", {ranks(4), "parallel.zero=1", "--stop-at=3"})).code == 75);
    std::filesystem::path checkpoint = runs / "run/checkpoints/step-3";
    std::uintmax_t least = UINTMAX_MAX, most = 0;
    for (int rank = 0; rank < 4; ++rank) {
        std::uintmax_t bytes = std::filesystem::file_size(checkpoint / ("optimizer-" + std::to_string(rank) + "-of-4.safetensors"));
        least = std::min(least, bytes), most = std::max(most, bytes);
    }
    // Equal parts, but for the file's header of names.
    CHECK(most < least + least / 2);
    std::filesystem::remove(checkpoint / "optimizer-2-of-4.safetensors");
    ProgramResult result = run_program(runs.train("run"));
    CHECK(result.code == 1);
    CHECK(result.errors.find("optimizer-2-of-4.safetensors is missing") != std::string::npos);
}
