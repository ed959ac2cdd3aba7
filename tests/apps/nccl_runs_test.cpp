// Trainings of GPU ranks, run without a GPU: on simt, with a library of NCCL's functions in its place (tests/fake/nccl.cpp).
#include "tests/support/many_ranks.h"
#include "tests/support/text_files.h"

#include <doctest/doctest.h>

using namespace tests;

namespace {

namespace fs = std::filesystem;

bool fake_is_here() {
    bool built_here = fs::exists(fs::path(MOEGRAD_FAKE_NCCL).parent_path());
    if (!built_here) MESSAGE("skipped: the library of tests/fake is not on this machine");
    return built_here;
}

const Arguments kShort{"train.device=simt", "train.steps=2", "train.log_every=1", "train.eval_every=0"};

Arguments with(Arguments settings, const Arguments& more) {
    settings.insert(settings.end(), more.begin(), more.end());
    return settings;
}

ProgramResult train_by_nccl(const SmallRuns& runs, const std::string& out, int ranks, const Arguments& settings,
                            const Arguments& variables = {}) {
    Arguments environment{std::string("MOEGRAD_NCCL_LIBRARY=") + MOEGRAD_FAKE_NCCL, "TMPDIR=" + (runs / "").string(),
                          "FAKE_NCCL_LOG=" + (runs / (out + "-log")).string()};
    return RunningProgram(on_ranks(ranks, runs.train(out, settings), "tcp"), with(environment, variables)).wait();
}

}  // namespace

TEST_CASE("a training by NCCL ends in the bits of one rank, whole and cut, and every gradient has travelled by NCCL") {
    if (!fake_is_here()) return;
    SmallRuns runs;
    REQUIRE(run_program(runs.train("one", kShort)).code == 0);
    for (const char* zero : {"parallel.zero=0", "parallel.zero=1"}) {
        CAPTURE(zero);
        ProgramResult result = train_by_nccl(runs, zero, 2, with(kShort, {zero, "--check-ranks=1"}));
        REQUIRE_MESSAGE(result.code == 0, result.errors);
        CHECK_MESSAGE(result.errors.find("tensors travel by NCCL 2.28.9") != std::string::npos, result.errors);
        check_equal_runs(runs / "one", runs / zero, 2);
        std::string log = read_text(runs / (std::string(zero) + "-log-1"));
        CHECK(log.starts_with("init 2 1\n"));
        CHECK(log.ends_with("finalize\ndestroy\n"));
        CHECK(log.find("busy") == std::string::npos);
        CHECK(log.find("\nsend ") != std::string::npos);
    }
    ProgramResult fast = train_by_nccl(runs, "fast", 2, with(kShort, {"parallel.reduction=fast"}));
    CHECK_MESSAGE(fast.code == 0, fast.errors);
    CHECK(read_text(runs / "fast-log-0").find("\nall_reduce ") != std::string::npos);
}

TEST_CASE("GPU ranks share experts by NCCL, with bounded room, and end in the bits of one rank") {
    if (!fake_is_here()) return;
    SmallRuns runs;
    const Arguments settings = with(kShort, {"train.steps=3", "train.micro_batch=1", "train.log_every=3"});
    REQUIRE(run_program(runs.train("one", settings)).code == 0);
    ProgramResult result = train_by_nccl(runs, "experts", 2, with(settings, {"parallel.expert=2", "parallel.zero=1"}));
    REQUIRE_MESSAGE(result.code == 0, result.errors);
    check_equal_runs(runs / "one", runs / "experts", 3);
    CHECK(read_text(runs / "experts-log-0").find("busy") == std::string::npos);
}

TEST_CASE("where NCCL fails on one rank of a training all leave, and the first word is that rank's own") {
    if (!fake_is_here()) return;
    SmallRuns runs;
    ProgramResult result = train_by_nccl(runs, "fails", 2, kShort, {"FAKE_NCCL_FAIL=1:7:1"});
    CHECK(result.code == 1);
    CHECK_MESSAGE(result.errors.find("moegrad: rank 1: [") != std::string::npos, result.errors);
    CHECK_MESSAGE(result.errors.find("] rank 1: NCCL failed: fake failure; hint: NCCL_DEBUG=INFO says more") != std::string::npos,
                  result.errors);
    CHECK_MESSAGE(result.errors.find("moegrad: rank 0: [") != std::string::npos, result.errors);
    CHECK_MESSAGE(result.errors.find("(at step ") != std::string::npos, result.errors);
}
