// Ranks on two machines, or what looks so to them: over a cable that is cut or narrow, and over a link that is slow or goes dead.
#include "tests/support/two_hosts.h"

#include "tests/support/many_ranks.h"
#include "tests/support/slow_link.h"

#include <chrono>
#include <fstream>
#include <memory>

#include <doctest/doctest.h>
#include <unistd.h>

using namespace tests;

namespace {

namespace fs = std::filesystem;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

bool says(const ProgramResult& result, const std::string& words) { return result.errors.find(words) != std::string::npos; }

const Arguments kEndless{"train.steps=1000000", "train.save_every=0", "train.eval_every=0", "train.log_every=1"};

void wait_for(const fs::path& file) {
    for (int i = 0; i < 2000 && !fs::exists(file); ++i) usleep(10'000);
    usleep(200'000);
}

// `ranks` ranks of a run, the first half of them on one host; where host's ranks meet rank 0 is in inits.
std::vector<std::unique_ptr<RunningProgram>> start(Arguments train, int ranks, const std::vector<std::string>& inits,
                                                   const TwoHosts* hosts) {
    std::vector<std::unique_ptr<RunningProgram>> programs;
    for (int rank = 0; rank < ranks; ++rank) {
        int host = 2 * rank < ranks ? 0 : 1;
        Arguments words = train;
        words.insert(words.end(),
                     {"--rank", std::to_string(rank), "--world", std::to_string(ranks), "--init", inits[static_cast<std::size_t>(host)]});
        programs.push_back(std::make_unique<RunningProgram>(words, Arguments{}, hosts != nullptr ? hosts->on(host) : Arguments{}));
    }
    return programs;
}

void check_trained(std::vector<std::unique_ptr<RunningProgram>> programs, const fs::path& one, const fs::path& out) {
    for (auto& program : programs) {
        ProgramResult result = program->wait();
        CHECK_MESSAGE(result.code == 0, result.errors);
    }
    CHECK(metrics_of(one) == metrics_of(out));
    CHECK(tensors_of(one / "checkpoints/step-12") == tensors_of(out / "checkpoints/step-12"));
}

// Every rank ends in time, having named one of the other host.
void check_lost(std::vector<std::unique_ptr<RunningProgram>> programs, double timeout) {
    Clock::time_point begin = Clock::now();
    std::size_t half = programs.size() / 2;
    for (std::size_t rank = 0; rank < programs.size(); ++rank) {
        ProgramResult result = programs[rank]->wait();
        CHECK(result.code == 1);
        bool named = false;
        for (std::size_t other = rank < half ? half : 0; other < (rank < half ? programs.size() : half); ++other) {
            named = named || says(result, "] rank " + std::to_string(other) + " (process ") ||
                    says(result, "lost rank " + std::to_string(other));
        }
        CHECK_MESSAGE(named, result.errors);
    }
    CHECK(seconds_since(begin) < timeout + 2);
}

}  // namespace

TEST_CASE("ranks on two hosts that meet over TCP train to the bits of one, over a narrow cable too") {
    if (!TwoHosts::possible()) return;
    SmallRuns runs;
    TwoHosts hosts;
    const std::string init = "tcp://" + TwoHosts::address(0) + ":29500";
    REQUIRE(run_program(runs.train("one")).code == 0);
    check_trained(start(runs.train("two"), 2, {init, init}, &hosts), runs / "one", runs / "two");
    check_trained(start(runs.train("four"), 4, {init, init}, &hosts), runs / "one", runs / "four");
    const std::string folder = "file://" + (runs / "meet").string();
    check_trained(start(runs.train("folder"), 4, {folder, folder}, &hosts), runs / "one", runs / "folder");
    if (!hosts.limit("20mbit")) return;
    check_trained(start(runs.train("narrow", {"--rank-timeout=20"}), 4, {init, init}, &hosts), runs / "one", runs / "narrow");
}

TEST_CASE("a cut cable ends the ranks of both hosts within --rank-timeout, and they name ranks of the other") {
    if (!TwoHosts::possible()) return;
    SmallRuns runs;
    for (int ranks : {2, 4}) {
        CAPTURE(ranks);
        TwoHosts hosts;
        const std::string out = "run-" + std::to_string(ranks), init = "tcp://" + TwoHosts::address(0) + ":29500";
        Arguments settings = kEndless;
        settings.push_back("--rank-timeout=2");
        auto programs = start(runs.train(out, settings), ranks, {init, init}, &hosts);
        wait_for(runs / (out + "/metrics.jsonl"));
        hosts.cut();
        check_lost(std::move(programs), 2);
    }
}

TEST_CASE("an address that the other host cannot reach ends every rank within --rank-timeout") {
    if (!TwoHosts::possible()) return;
    SmallRuns runs;
    TwoHosts hosts;
    hosts.cut();
    const std::string init = "tcp://" + TwoHosts::address(0) + ":29500";
    Clock::time_point begin = Clock::now();
    auto programs = start(runs.train("run", {"--rank-timeout=2"}), 2, {init, init}, &hosts);
    ProgramResult first = programs[0]->wait(), other = programs[1]->wait();
    CHECK(seconds_since(begin) < 5);
    CHECK(first.code == 1);
    CHECK(other.code == 1);
    CHECK_MESSAGE(says(other, "rank 1 did not meet rank 0 at " + TwoHosts::address(0) + ":29500 in 2 s"), other.errors);
}

TEST_CASE("ranks of mpirun on two hosts train to the bits of one") {
    if (!can_run_ranks() || !TwoHosts::possible()) return;
    SmallRuns runs;
    TwoHosts hosts;
    REQUIRE(run_program(runs.train("one")).code == 0);
    // In place of a remote shell; each host wants a name of its own.
    std::ofstream(runs / "shell") << "#!/bin/bash\nshift\nexec ip netns exec " << hosts.name(1)
                                  << " unshare --uts bash -c \"hostname other; $*\"\n";
    fs::permissions(runs / "shell", fs::perms::owner_all);
    Arguments mpirun = hosts.on(0);
    for (const std::string& word : std::vector<std::string>{"mpirun",
                                                            "--quiet",
                                                            "--oversubscribe",
                                                            "--bind-to",
                                                            "none",
                                                            "-n",
                                                            "4",
                                                            "--host",
                                                            TwoHosts::address(0) + ":2," + TwoHosts::address(1) + ":2",
                                                            "--mca",
                                                            "plm_rsh_agent",
                                                            (runs / "shell").string(),
                                                            "--mca",
                                                            "btl",
                                                            "self,tcp",
                                                            "--mca",
                                                            "oob_tcp_if_include",
                                                            TwoHosts::kNetwork,
                                                            "--mca",
                                                            "btl_tcp_if_include",
                                                            TwoHosts::kNetwork}) {
        mpirun.push_back(word);
    }
    ProgramResult result =
        RunningProgram(runs.train("four"), {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"}, mpirun).wait();
    CHECK_MESSAGE(result.code == 0, result.errors);
    CHECK(metrics_of(runs / "one") == metrics_of(runs / "four"));
    CHECK(tensors_of(runs / "one/checkpoints/step-12") == tensors_of(runs / "four/checkpoints/step-12"));
}

TEST_CASE("a slow link changes no bit, and one that goes dead is noticed by both ends") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("one")).code == 0);
    std::string port = std::to_string(engine::listen_at("", 0).port());
    SlowLink link(std::stoi(port), 3);
    const std::vector<std::string> inits{"tcp://127.0.0.1:" + port, "tcp://127.0.0.1:" + std::to_string(link.port())};
    // Messages take longer than the patience, but something always moves.
    check_trained(start(runs.train("slow", {"--rank-timeout=1"}), 2, inits, nullptr), runs / "one", runs / "slow");
    Arguments settings = kEndless;
    settings.push_back("--rank-timeout=2");
    auto programs = start(runs.train("dead", settings), 2, inits, nullptr);
    wait_for(runs / "dead/metrics.jsonl");
    link.freeze();
    check_lost(std::move(programs), 2);
}
