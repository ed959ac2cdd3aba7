#include "tests/support/many_ranks.h"

#include "tests/support/text_files.h"

#include <csignal>
#include <fstream>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace tests;

namespace {

constexpr const char* kDense = "method = \"dense\"\nhidden = 20\n";
constexpr const char* kPkm = "method = \"pkm\"\nsub_keys = 5\nheads = 2\nk = 3\nquery_size = 6\nquery_norm = \"batch\"\n";
constexpr const char* kPeer = "method = \"peer\"\nsub_keys = 5\nheads = 2\nk = 3\nquery_size = 6\nquery_norm = \"batch\"\n";

ProgramResult launch(int ranks, const Arguments& words, const std::string& over) {
    return RunningProgram(on_ranks(ranks, words, over)).wait();
}

// Loss, weights, moments, memory and routing at 2 and 4 ranks against 1; then a run that changes its ranks on the way.
void check_any_number_of_ranks(const SmallRuns& runs) {
    REQUIRE(run_program(runs.train("one")).code == 0);
    for (const std::string& over : ways_to_launch()) {
        CAPTURE(over);
        for (int ranks : {2, 4}) {
            CAPTURE(ranks);
            std::string out = over + std::to_string(ranks);
            ProgramResult result = launch(ranks, runs.train(out), over);
            CHECK_MESSAGE(result.code == 0, result.errors);
            check_equal_runs(runs / "one", runs / out);
        }
        std::string out = "changing-" + over;
        CHECK(launch(4, runs.train(out, {"--stop-at=4"}), over).code == 75);
        CHECK(run_program(runs.train(out, {"--stop-at=7"})).code == 75);
        CHECK(launch(2, runs.train(out), over).code == 0);
        check_equal_runs(runs / "one", runs / out);
    }
}

}  // namespace

TEST_CASE("a sigma-moe model trains to equal bits on 1, 2 and 4 ranks over TCP and MPI, and goes on at another number") {
    check_any_number_of_ranks(SmallRuns());
}

TEST_CASE("dense, pkm and peer models train to equal bits on 1, 2 and 4 ranks over TCP and MPI, and go on at another number") {
    for (const char* method : {kDense, kPkm, kPeer}) {
        CAPTURE(method);
        SmallRuns runs;
        runs.set_feed_forward(method);
        check_any_number_of_ranks(runs);
    }
}

TEST_CASE("3 ranks share 8 micro-shards, the optimizer's state cut, and 2 go on with the bits of one") {
    SmallRuns runs;
    const Arguments settings{"train.micro_batch=1", "parallel.zero=1"}, stopping{"train.micro_batch=1", "parallel.zero=1", "--stop-at=5"};
    REQUIRE(run_program(runs.train("one", settings)).code == 0);
    for (const std::string& over : ways_to_launch()) {
        ProgramResult result = launch(3, runs.train(over, stopping), over);
        INFO(result.errors);
        CHECK(result.code == 75);
        CHECK(launch(2, runs.train(over, settings), over).code == 0);
        check_equal_runs(runs / "one", runs / over);
    }
}

TEST_CASE("3 and 8 ranks train to the bits of one where the micro-shards can be shared so") {
    SmallRuns runs;
    for (auto [ranks, batch] : {std::pair{3, 6}, std::pair{8, 8}}) {
        Arguments settings{"train.micro_batch=1", "train.batch=" + std::to_string(batch)};
        if (ranks == 3) settings.front() = "train.micro_batch=2";
        std::string name = std::to_string(ranks);
        REQUIRE(run_program(runs.train("one-" + name, settings)).code == 0);
        for (const std::string& over : ways_to_launch()) {
            ProgramResult result = launch(ranks, runs.train(over + name, settings), over);
            CHECK_MESSAGE(result.code == 0, result.errors);
            check_equal_runs(runs / ("one-" + name), runs / (over + name));
        }
    }
}

TEST_CASE("gradients of dozens of buckets, summed beside the backward passes of two micro-batches, train to the bits of one rank") {
    SmallRuns runs;
    runs.set_model(
        "[model]\nkind = \"transformer-xl\"\nchannels = 64\nlayers = 3\nheads = 2\nhead_size = 16\ntied = true\n"
        "[ffn]\nmethod = \"sigma-moe\"\nn_experts = 8\nexpert_size = 32\nk = 2\n");
    const Arguments settings{"train.micro_batch=1", "train.accumulate=2", "train.eval_every=0", "train.save_every=0"};
    REQUIRE(run_program(runs.train("one", settings)).code == 0);
    for (const std::string& over : ways_to_launch()) {
        for (auto [ranks, layout] : {std::pair{2, "parallel.zero=0"}, std::pair{3, "parallel.zero=1"}, std::pair{4, "parallel.expert=2"}}) {
            CAPTURE(over);
            CAPTURE(layout);
            Arguments own = settings;
            own.push_back(layout);
            std::string out = over + std::to_string(ranks);
            ProgramResult result = launch(ranks, runs.train(out, own), over);
            CHECK_MESSAGE(result.code == 0, result.errors);
            check_equal_runs(runs / "one", runs / out);
        }
    }
}

TEST_CASE("without mpirun in the PATH, launch starts ranks that meet over TCP") {
    SmallRuns runs;
    Arguments words = runs.train("run");
    words.insert(words.begin(), {"launch", "--ranks", "2", "--"});
    ProgramResult result = RunningProgram(words, {"PATH=/nowhere"}).wait();
    CHECK(result.code == 0);
    CHECK_MESSAGE(result.errors.find("2 ranks, started by --rank, meeting over TCP at ") != std::string::npos, result.errors);
    words.insert(words.begin() + 1, {"--over", "mpi"});
    CHECK(RunningProgram(words, {"PATH=/nowhere"}).wait().code == 1);
}

TEST_CASE("what cannot be launched is refused in one line") {
    SmallRuns runs;
    CHECK(run_program({"launch", "--ranks", "0", "--", "train"}).code == 2);
    CHECK(run_program({"launch", "--ranks", "2", "--", "eval"}).code == 2);
    setenv("WORLD_SIZE", "3", 1);
    setenv("RANK", "7", 1);
    ProgramResult result = run_program(runs.train("run"));
    unsetenv("WORLD_SIZE");
    unsetenv("RANK");
    CHECK(result.code == 1);
    CHECK(result.errors.find("RANK is no such number: got \"7\", expected 0 to 2") != std::string::npos);
}

TEST_CASE("ranks of different configurations, data or programs do not begin") {
    if (!can_run_ranks()) return;
    SmallRuns runs;
    // Rank 1's words differ: mpirun starts each with its own.
    std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    auto words = [&](const Arguments& settings) {
        std::string all = self + " program";
        for (const std::string& word : runs.train("run", settings)) all += " " + word;
        return all;
    };
    std::string command = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --quiet --oversubscribe -n 1 " + words({}) +
                          " : -n 1 " + words({"train.lr=0.02"}) + " > " + (runs / "errors").string() + " 2>&1";
    int status = std::system(command.c_str());
    CHECK(WEXITSTATUS(status) == 1);
    std::string errors = read_text(runs / "errors");
    CHECK_MESSAGE(
        errors.find("[ranks] ranks differ in their configuration: rank 0 has lr = 0.01, rank 1 has lr = 0.02") != std::string::npos,
        errors);
    CHECK_FALSE(std::filesystem::exists(runs / "run"));
}

TEST_CASE("signals to launch end all ranks with everything saved and code 75") {
    SmallRuns runs;
    Arguments settings{"train.steps=100000", "train.save_every=0", "train.eval_every=0", "train.log_every=1"};
    for (const std::string& over : ways_to_launch()) {
        for (int signal : {SIGTERM, SIGINT, SIGUSR1}) {
            std::string out = over + std::to_string(signal);
            RunningProgram launched(on_ranks(2, runs.train(out, settings), over));
            for (int i = 0; i < 3000 && !std::filesystem::exists(runs / (out + "/metrics.jsonl")); ++i) usleep(10'000);
            usleep(100'000);
            launched.send(signal);
            ProgramResult result = launched.wait();
            CHECK_MESSAGE(result.code == 75, result.errors);
            std::string latest;
            std::ifstream(runs / (out + "/latest")) >> latest;
            CHECK(std::filesystem::exists(runs / (out + "/checkpoints/" + latest) / "model.safetensors"));
        }
    }
}

TEST_CASE("what every launched rank would refuse is told once, and no rank is started") {
    SmallRuns runs;
    for (const std::string& over : ways_to_launch()) {
        for (auto [settings, code, error] :
             {std::tuple<Arguments, int, const char*>{
                  {"train.micro_batch=8"}, 1, "[config] there must be a micro-shard for each rank: got 1 micro-shards and 2 ranks; hint: "},
              {{"parallel.ranks=4"}, 1, "[ranks] parallel.ranks is not what launch started: got 4, expected 2; hint: "},
              {{"data.path=nowhere"}, 1, "[store] there is no folder nowhere; hint: "},
              {{"--no-such-option"}, 2, "[usage] The following argument was not expected: --no-such-option; hint: "}}) {
            ProgramResult result = RunningProgram(on_ranks(2, runs.train("refused", settings), over)).wait();
            CHECK(result.code == code);
            CHECK_MESSAGE(result.errors.starts_with(std::string("moegrad: ") + error), result.errors);
            CHECK_MESSAGE(result.errors.find('\n') == result.errors.size() - 1, result.errors);
        }
    }
    CHECK_FALSE(std::filesystem::exists(runs / "refused"));
}
