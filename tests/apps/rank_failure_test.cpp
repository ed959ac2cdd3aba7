#include "engine/base/philox.h"
#include "tests/support/many_ranks.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>

#include <doctest/doctest.h>
#include <unistd.h>

using namespace tests;

namespace {

namespace fs = std::filesystem;

using Clock = std::chrono::steady_clock;

std::string bytes_of(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// The process that is a rank of the run in `folder`; 0 where there is none.
int process_of(const fs::path& folder, int rank) {
    for (const auto& entry : fs::directory_iterator("/proc")) {
        std::string number = entry.path().filename().string();
        if (number.find_first_not_of("0123456789") != std::string::npos) continue;
        std::string words = bytes_of(entry.path() / "cmdline");
        if (words.find(folder.string()) == std::string::npos) continue;
        using namespace std::string_literals;
        std::string name = std::to_string(rank) + '\0';
        bool under_mpirun = ('\0' + bytes_of(entry.path() / "environ")).find("\0OMPI_COMM_WORLD_RANK="s + name) != std::string::npos;
        bool by_itself = words.find("\0--rank\0"s + name) != std::string::npos;
        if (under_mpirun || by_itself) return std::stoi(number);
    }
    return 0;
}

// The step of the latest checkpoint, 0 where there is none.
int last_checkpoint(const fs::path& run) {
    int last = 0;
    if (!fs::exists(run / "checkpoints")) return last;
    for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
        std::string name = entry.path().filename().string();
        if (name.starts_with("step-") && entry.path().extension().empty()) last = std::max(last, std::stoi(name.substr(5)));
    }
    return last;
}

// A launched run that has begun to log.
struct LongRun {
    SmallRuns& runs;
    std::string out;
    RunningProgram program;

    LongRun(SmallRuns& r, const std::string& name, int ranks, const std::string& over, Arguments settings,
            const Arguments& environment = {})
        : runs(r), out(name), program(on_ranks(ranks, r.train(name, long_one(std::move(settings))), over), environment) {
        for (int i = 0; i < 3000 && !fs::exists(runs / (out + "/metrics.jsonl")); ++i) usleep(10'000);
    }
    static Arguments long_one(Arguments settings) {
        for (const char* each : {"train.steps=1000000", "train.save_every=0", "train.eval_every=0", "train.log_every=1"}) {
            settings.insert(settings.begin(), each);
        }
        return settings;
    }
    void signal_rank(int rank, int signal) const {
        int process = process_of(runs / out, rank);
        REQUIRE(process > 0);
        kill(process, signal);
    }
};

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

bool says(const ProgramResult& result, const std::string& words) { return result.errors.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("where a rank dies the others leave within 5 seconds and name rank, collective and step") {
    SmallRuns runs;
    for (const std::string& over : ways_to_launch()) {
        for (auto [ranks, victim] : {std::pair{2, 1}, std::pair{2, 0}, std::pair{4, 2}}) {
            CAPTURE(over);
            CAPTURE(victim);
            LongRun run(runs, over + std::to_string(ranks) + std::to_string(victim), ranks, over, {});
            run.signal_rank(victim, SIGKILL);
            Clock::time_point begin = Clock::now();
            ProgramResult result = run.program.wait();
            CHECK(seconds_since(begin) < 5);
            CHECK(result.code == 1);
            CHECK_MESSAGE(says(result, "rank " + std::to_string(victim) + " died"), result.errors);
            CHECK_MESSAGE(says(result, "(at step "), result.errors);
        }
    }
}

TEST_CASE("a rank that hangs is named after --rank-timeout, and all end") {
    SmallRuns runs;
    for (const std::string& over : ways_to_launch()) {
        for (int victim : {0, 1}) {
            CAPTURE(over);
            LongRun run(runs, over + std::to_string(victim), 2, over, {"--rank-timeout=1"});
            run.signal_rank(victim, SIGSTOP);
            Clock::time_point begin = Clock::now();
            ProgramResult result = run.program.wait();
            CHECK(seconds_since(begin) < 6);
            CHECK(result.code == 1);
            CHECK_MESSAGE(says(result, "] rank " + std::to_string(victim) + " (process "), result.errors);
            CHECK_MESSAGE(says(result, "gave rank " + std::to_string(1 - victim) + " no answer for 1 s"), result.errors);
        }
    }
}

TEST_CASE("a weight that is no number on one rank ends all ranks alike") {
    SmallRuns runs;
    for (const std::string& over : ways_to_launch()) {
        LongRun run(runs, over, 2, over, {}, {"MOEGRAD_FAULT=1:7:nan"});
        ProgramResult result = run.program.wait();
        CHECK(result.code == 1);
        CHECK_MESSAGE(says(result, "[train] the loss is not finite at step 8"), result.errors);
    }
}

TEST_CASE("one flipped bit of one rank's weights is found by the next --check-ranks, which names the rank") {
    SmallRuns runs;
    for (const std::string& over : ways_to_launch()) {
        LongRun run(runs, over, 4, over, {"--check-ranks=5"}, {"MOEGRAD_FAULT=2:7:flip"});
        ProgramResult result = run.program.wait();
        CHECK(result.code == 1);
        CHECK_MESSAGE(says(result, "[ranks] weights differ at step 10: rank 2 has "), result.errors);
    }
    ProgramResult equal = RunningProgram(on_ranks(2, runs.train("equal", {"--check-ranks=1"}), "tcp")).wait();
    CHECK_MESSAGE(equal.code == 0, equal.errors);
}

TEST_CASE("runs whose ranks are killed at random moments end in the bits of an undisturbed run") {
    SmallRuns runs;
    Arguments settings{"train.save_every=20", "train.eval_every=0", "train.steps=400", "train.schedule_steps=300", "train.log_every=10"};
    REQUIRE(run_program(runs.train("whole", settings)).code == 0);
    for (const std::string& over : ways_to_launch()) {
        CAPTURE(over);
        std::string out = "killed-" + over;
        int kills = 0;
        for (std::uint64_t life = 0; life < 5; ++life) {
            int ranks = life % 2 == 0 ? 2 : 4;
            RunningProgram program(on_ranks(ranks, runs.train(out, settings), over));
            int victim = static_cast<int>(engine::random_bits(23, 0, 1, life) % static_cast<std::uint64_t>(ranks)), process = 0;
            for (int i = 0; i < 500 && process == 0; ++i) {
                process = process_of(runs / out, victim);
                usleep(10'000);
            }
            // However fast the machine is: each life ends a while after it has got some steps further.
            int target = 60 * static_cast<int>(life) + 20;
            for (int i = 0; i < 30'000 && last_checkpoint(runs / out) < target; ++i) usleep(1000);
            usleep(static_cast<useconds_t>(30'000 * engine::to_uniform(engine::random_bits(23, 0, 2, life))));
            if (process > 0 && kill(process, SIGKILL) == 0) ++kills;
            program.wait();
        }
        CHECK(kills >= 4);
        ProgramResult last = RunningProgram(on_ranks(2, runs.train(out, settings), over)).wait();
        CHECK_MESSAGE(last.code == 0, last.errors);
        CHECK(metrics_of(runs / "whole") == metrics_of(runs / out));
        CHECK(tensors_of(runs / "whole/checkpoints/step-400") == tensors_of(runs / out / "checkpoints/step-400"));
    }
}
