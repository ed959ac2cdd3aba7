#include "apps/rank_device.h"

#include "engine/base/error.h"
#include "engine/cuda/runtime.h"
#include "tests/support/many_ranks.h"

#include <doctest/doctest.h>

using namespace tests;

TEST_CASE("a rank's GPU is that of its local rank, or the only one that its launcher lets it see") {
    using apps::device_of_rank;
    for (int rank : {0, 1, 7}) CHECK(device_of_rank("cuda", {.rank = rank, .count = 8, .gpus = 8}) == "cuda:" + std::to_string(rank));
    CHECK(device_of_rank("cuda", {.rank = 11, .count = 12, .gpus = 16}) == "cuda:11");
    CHECK(device_of_rank("cuda", {.rank = 5, .count = 8, .gpus = 1, .gpus_are_named = true}) == "cuda:0");
    CHECK(device_of_rank("cuda", {.rank = 1, .count = 2, .gpus = 2, .gpus_are_named = true}) == "cuda:1");
    // Whoever names a device means it, and no GPU at all is no matter of ranks.
    for (const char* named : {"cpu", "simt", "cuda:0", "cuda:3"}) CHECK(device_of_rank(named, {.rank = 1, .count = 2, .gpus = 1}) == named);
    CHECK(device_of_rank("cuda", {.rank = 1, .count = 2, .gpus = 0}) == "cuda");
}

TEST_CASE("more ranks than a machine has GPUs are refused with both numbers") {
    CHECK_THROWS_WITH_AS(apps::device_of_rank("cuda", {.rank = 0, .count = 5, .gpus = 4}),
                         doctest::Contains("[ranks] 5 ranks on this machine, which has 4 GPUs; hint: as many ranks as GPUs"),
                         engine::Error);
    CHECK_THROWS_AS(apps::device_of_rank("cuda", {.rank = 1, .count = 2, .gpus = 1}), engine::Error);
    // A launcher whose local ranks do not begin with 0.
    CHECK_THROWS_AS(apps::device_of_rank("cuda", {.rank = 4, .count = 2, .gpus = 4}), engine::Error);
}

TEST_CASE("ranks without a GPU or without NCCL are told so once, and leave nothing") {
    SmallRuns runs;
    auto once = [](const ProgramResult& result, const std::string& words) {
        CHECK(result.code == 1);
        std::size_t first = result.errors.find(words);
        CHECK_MESSAGE(first != std::string::npos, result.errors);
        CHECK_MESSAGE(result.errors.find(words, first + 1) == std::string::npos, result.errors);
    };
    for (const std::string& over : ways_to_launch()) {
        if (engine::cuda::device_count() == 0) {
            once(RunningProgram(on_ranks(2, runs.train("no-gpu", {"train.device=cuda"}), over)).wait(),
                 "[device] cuda is not here: 0 CUDA devices");
            once(RunningProgram(on_ranks(2, {"bench", "comm", "--device", "cuda"}, over)).wait(),
                 "[device] cuda is not here: 0 CUDA devices");
        }
        once(RunningProgram(on_ranks(2, runs.train("no-nccl", {"train.device=simt"}), over), {"MOEGRAD_NCCL_LIBRARY=libno-such-nccl.so"})
                 .wait(),
             "[nccl] GPU ranks speak NCCL, which cannot be opened: libno-such-nccl.so");
    }
    for (const char* run : {"no-gpu", "no-nccl"}) CHECK_FALSE(std::filesystem::exists(runs / run));
}
