// Ranks that nobody launches together: each process is told its place, by options or by a launcher's variables, and they meet over TCP.
#include "engine/comm/meeting_file.h"
#include "engine/comm/socket.h"
#include "tests/support/many_ranks.h"

#include <chrono>
#include <memory>

#include <doctest/doctest.h>
#include <unistd.h>

using namespace tests;

namespace {

std::string free_port() { return std::to_string(engine::listen_at("", 0).port()); }

Arguments at(const std::string& init, int rank, int world) {
    return {"--rank", std::to_string(rank), "--world", std::to_string(world), "--init", init};
}

struct Started {
    Arguments words, environment;
};

// All at the same time.
std::vector<ProgramResult> run_all(const std::vector<Started>& ranks) {
    std::vector<std::unique_ptr<RunningProgram>> programs;
    for (const Started& rank : ranks) programs.push_back(std::make_unique<RunningProgram>(rank.words, rank.environment));
    std::vector<ProgramResult> results;
    for (auto& program : programs) results.push_back(program->wait());
    return results;
}

Arguments with(Arguments words, const Arguments& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

bool says(const ProgramResult& result, const std::string& words) { return result.errors.find(words) != std::string::npos; }

void check_ends(const std::vector<ProgramResult>& results, int code) {
    for (const ProgramResult& result : results) CHECK_MESSAGE(result.code == code, result.errors);
}

}  // namespace

TEST_CASE("ranks that are told their place train to the bits of one: by options, by a folder, as torchrun's and as Slurm's") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("one")).code == 0);
    std::string port = free_port();
    auto settings = [&](const std::string& way, int rank) -> Started {
        std::string number = std::to_string(rank);
        if (way == "tcp") return {at("tcp://127.0.0.1:" + port, rank, 2), {}};
        if (way == "file") return {at("file://" + (runs / "meet").string(), rank, 2), {}};
        if (way == "torchrun")
            return {{}, {"RANK=" + number, "WORLD_SIZE=2", "LOCAL_RANK=" + number, "MASTER_ADDR=localhost", "MASTER_PORT=" + port}};
        return {{},
                {"SLURM_PROCID=" + number, "SLURM_NTASKS=2", "SLURM_STEP_ID=0", "SLURM_JOB_ID=" + std::to_string(getpid()),
                 "SLURM_JOB_NODELIST=localhost"}};
    };
    for (auto [way, told] : {std::pair{"tcp", "2 ranks, started by --rank, meeting over TCP at 127.0.0.1:"},
                             {"file", "2 ranks, started by --rank, meeting over TCP at /"},
                             {"torchrun", "2 ranks, started by torchrun, meeting over TCP at localhost:"},
                             {"slurm", "2 ranks, started by Slurm, meeting over TCP at localhost:"}}) {
        CAPTURE(way);
        std::vector<Started> ranks;
        for (int rank : {0, 1}) {
            auto [words, environment] = settings(way, rank);
            ranks.push_back({with(runs.train(way, {"--rank-timeout=20"}), words), environment});
        }
        std::vector<ProgramResult> results = run_all(ranks);
        check_ends(results, 0);
        CHECK_MESSAGE(says(results[0], told), results[0].errors);
        check_equal_runs(runs / "one", runs / way);
    }
}

TEST_CASE("a missing rank, a port that is taken and a wrong token end in one line each, within --rank-timeout") {
    SmallRuns runs;
    const Arguments train = runs.train("run", {"--rank-timeout=1"});
    std::string init = "tcp://127.0.0.1:" + free_port();
    auto begin = std::chrono::steady_clock::now();
    std::vector<ProgramResult> results = run_all({{with(train, at(init, 0, 3)), {}}, {with(train, at(init, 2, 3)), {}}});
    check_ends(results, 1);
    for (const ProgramResult& result : results)
        CHECK_MESSAGE(says(result, "of 3 ranks these had not come to rank 0 after 1 s: 1"), result.errors);
    engine::Socket taken = engine::listen_at("127.0.0.1", 0);
    results = run_all({{with(train, at("tcp://127.0.0.1:" + std::to_string(taken.port()), 0, 2)), {}}});
    check_ends(results, 1);
    CHECK_MESSAGE(says(results[0], "Address already in use: this is rank 0"), results[0].errors);
    results = run_all({{with(train, at(init, 0, 2)), {"MOEGRAD_JOB_TOKEN=a"}}, {with(train, at(init, 1, 2)), {"MOEGRAD_JOB_TOKEN=b"}}});
    check_ends(results, 1);
    CHECK_MESSAGE(says(results[0], "turned away, as of another job: 1 callers"), results[0].errors);
    CHECK_MESSAGE(says(results[1], "the job's token is another one"), results[1].errors);
    engine::write_meeting(runs / "meet", taken.port());  // of an earlier start
    results = run_all({{with(train, at("file://" + (runs / "meet").string(), 1, 2)), {}}});
    check_ends(results, 1);
    CHECK_MESSAGE(says(results[0], "rank 1 did not meet rank 0 at /"), results[0].errors);
    CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < 12);
    CHECK_FALSE(std::filesystem::exists(runs / "run"));
}

TEST_CASE("a place that is half told or contradicts a launcher's is refused before anything is done") {
    SmallRuns runs;
    const Arguments train = runs.train("run");
    std::vector<ProgramResult> results = run_all({{with(train, {"--rank", "0"}), {}},
                                                  {with(train, {"--rank", "0", "--world", "2"}), {}},
                                                  {with(train, {"--rank", "2", "--world", "2", "--init", "tcp://h:1"}), {}},
                                                  {with(train, {"--rank", "0", "--world", "2", "--init", "h:1"}), {}},
                                                  {with(train, {"--rank", "-1", "--world", "2", "--init", "tcp://h:1"}), {}}});
    check_ends(results, 2);
    CHECK_MESSAGE(says(results[2], "there is no such rank: got --rank 2 of --world 2"), results[2].errors);
    CHECK_MESSAGE(says(results[4], "--rank: got -1, expected a number of at least 0"), results[4].errors);
    results = run_all({{with(train, at("file://" + (runs / "run.toml").string(), 0, 2)), {}}});
    check_ends(results, 1);
    CHECK_MESSAGE(says(results[0], "[ranks] cannot make the folder to meet in: got "), results[0].errors);
    results = run_all({{with(train, at("tcp://127.0.0.1:2000", 0, 2)), {"RANK=1", "WORLD_SIZE=2"}}, {train, {"RANK=1", "WORLD_SIZE=2"}}});
    check_ends(results, 1);
    CHECK_MESSAGE(says(results[0], "--rank says rank 0 of 2, torchrun says rank 1 of 2"), results[0].errors);
    CHECK_MESSAGE(says(results[1], "hint: MASTER_ADDR and MASTER_PORT say where rank 0 listens"), results[1].errors);
}

TEST_CASE("ranks of different configurations or options that meet over TCP do not begin, and leave nothing") {
    SmallRuns runs;
    std::string init = "tcp://127.0.0.1:" + free_port();
    const std::vector<Started> other{{with(runs.train("run", {"--check-ranks=2", "--rank-timeout=20"}), at(init, 1, 2)), {}},
                                     {with(runs.train("elsewhere", {"--rank-timeout=20"}), at(init, 1, 2)), {}}};
    for (const Started& second : other) {
        std::vector<ProgramResult> told = run_all({{with(runs.train("run", {"--rank-timeout=20"}), at(init, 0, 2)), {}}, second});
        check_ends(told, 1);
        CHECK_MESSAGE(says(told[0], "[ranks] ranks differ in their options: rank 0 has --"), told[0].errors);
        CHECK(told[1].errors.empty());
        CHECK_FALSE(std::filesystem::exists(runs / "run"));
    }
    std::vector<ProgramResult> results = run_all({{with(runs.train("run", {"--rank-timeout=20"}), at(init, 0, 2)), {}},
                                                  {with(runs.train("run", {"train.lr=0.02", "--rank-timeout=20"}), at(init, 1, 2)), {}}});
    check_ends(results, 1);
    CHECK_MESSAGE(says(results[0], "[ranks] ranks differ in their configuration: rank 0 has lr = 0.01, rank 1 has lr = 0.02"),
                  results[0].errors);
    CHECK_FALSE(std::filesystem::exists(runs / "run"));
}
