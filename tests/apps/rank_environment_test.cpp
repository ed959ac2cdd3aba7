#include "apps/rank_environment.h"

#include "apps/rank_meeting.h"
#include "engine/base/error.h"

#include <map>

#include <doctest/doctest.h>

using namespace apps;

namespace {

using Values = std::map<std::string, std::string>;

RankEnvironment under(const Values& values, const RankOptions& options = {}, bool has_mpi = true) {
    auto variables = [&](const std::string& name) -> std::optional<std::string> {
        auto found = values.find(name);
        return found != values.end() ? std::optional(found->second) : std::nullopt;
    };
    return rank_environment(variables, options, has_mpi);
}

const Values kTorchrun{{"RANK", "1"},           {"WORLD_SIZE", "4"},      {"LOCAL_RANK", "0"},
                       {"MASTER_ADDR", "n007"}, {"MASTER_PORT", "29500"}, {"TORCHELASTIC_RUN_ID", "run"}};
const Values kSlurm{{"SLURM_PROCID", "2"},  {"SLURM_NTASKS", "4"},  {"SLURM_STEP_ID", "3"},
                    {"SLURM_LOCALID", "1"}, {"SLURM_JOB_ID", "77"}, {"SLURM_JOB_NODELIST", "n[007-009,20],login"}};

Values with(Values values, const Values& more) {
    values.insert(more.begin(), more.end());
    return values;
}

}  // namespace

TEST_CASE("rank and size come from torchrun, Open MPI, Slurm, PMI and MVAPICH") {
    CHECK(under({}).size == 1);
    for (auto [rank, size, launcher] : {std::tuple{"RANK", "WORLD_SIZE", "torchrun"},
                                        {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "Open MPI"},
                                        {"SLURM_PROCID", "SLURM_NTASKS", "Slurm"},
                                        {"PMI_RANK", "PMI_SIZE", "PMI"},
                                        {"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MVAPICH"}}) {
        RankEnvironment found = under({{rank, "2"}, {size, "3"}, {"SLURM_STEP_ID", "0"}});
        CHECK(found.rank == 2);
        CHECK(found.size == 3);
        CHECK(found.launcher == launcher);
        CHECK(under({{rank, "2"}}).size == 1);
        CHECK_THROWS_AS(under({{rank, "3"}, {size, "3"}, {"SLURM_STEP_ID", "0"}}), engine::Error);
        CHECK_THROWS_AS(under({{rank, "two"}, {size, "3"}, {"SLURM_STEP_ID", "0"}}), engine::Error);
    }
}

TEST_CASE("launchers that disagree are refused with both words") {
    CHECK_THROWS_WITH_AS(under({{"RANK", "0"}, {"WORLD_SIZE", "8"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "16"}, {"SLURM_STEP_ID", "1"}}),
                         doctest::Contains("torchrun says rank 0 of 8, Slurm says rank 0 of 16"), engine::Error);
    CHECK(under({{"RANK", "1"}, {"WORLD_SIZE", "8"}, {"PMI_RANK", "1"}, {"PMI_SIZE", "8"}}).rank == 1);
}

TEST_CASE("a batch script of Slurm's is no rank, and under mpirun in a job Slurm's rank is the daemon's") {
    CHECK(under({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}).size == 1);
    RankEnvironment inside = under({{"OMPI_COMM_WORLD_RANK", "3"},
                                    {"OMPI_COMM_WORLD_SIZE", "4"},
                                    {"SLURM_PROCID", "1"},
                                    {"SLURM_NTASKS", "4"},
                                    {"SLURM_STEP_ID", "0"}});
    CHECK(inside.rank == 3);
    CHECK(inside.launcher == "Open MPI");
}

TEST_CASE("torchrun's ranks meet at its address, one port above where its agent keeps a store there") {
    RankEnvironment found = under(kTorchrun);
    REQUIRE(found.meeting.has_value());
    CHECK(found.local_rank == 0);
    CHECK(found.meeting->host == "n007");
    CHECK(found.meeting->port == 29500);
    CHECK(found.meeting->rank == 1);
    CHECK(found.meeting->size == 4);
    CHECK(found.meeting->token == "run 0");
    CHECK(under(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "True"}})).meeting->port == 29501);
    CHECK(under(with(kTorchrun, {{"TORCHELASTIC_RESTART_COUNT", "2"}})).meeting->token == "run 2");
    CHECK(under(with(kTorchrun, {{"MOEGRAD_JOB_TOKEN", "secret"}})).meeting->token == "secret");
    CHECK_THROWS_AS(under({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "65536"}}), engine::Error);
    // A script's RANK under mpirun names no place: MPI does.
    RankEnvironment both = under({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}});
    CHECK(both.by_mpi);
    CHECK_FALSE(both.meeting.has_value());
}

TEST_CASE("Slurm's ranks speak MPI where srun has made it ready, and else meet at the step's first machine") {
    RankEnvironment found = under(kSlurm);
    REQUIRE(found.meeting.has_value());
    CHECK_FALSE(found.by_mpi);
    CHECK(found.local_rank == 1);
    CHECK(found.meeting->host == "n007");
    CHECK(found.meeting->token == "slurm 77.3 0");
    CHECK(found.meeting->port == port_of_job(77, 3));
    CHECK(under(with(kSlurm, {{"SLURM_STEP_NODELIST", "n009"}})).meeting->host == "n009");
    CHECK(under(with(kSlurm, {{"PMIX_RANK", "2"}})).by_mpi);
    CHECK_FALSE(under(with(kSlurm, {{"PMIX_RANK", "2"}}), {}, false).by_mpi);
    CHECK(under(with(kSlurm, {{"PMIX_RANK", "2"}}), {}, false).meeting.has_value());
    for (long long job : {0LL, 1LL, 99'999'999LL, 1LL << 40}) {
        CHECK(port_of_job(job, 0) >= 10'000);
        CHECK(port_of_job(job, 5) < 30'000);
        CHECK(port_of_job(job, 1) != port_of_job(job, 2));
        CHECK(port_of_job(job, 0) != port_of_job(job + 1, 0));
    }
}

TEST_CASE("mpirun's and PMI's ranks have no other place than MPI, and say what would help") {
    const Values mpirun{{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}};
    CHECK(under(mpirun).by_mpi);
    RankEnvironment without = under(mpirun, {}, false);
    CHECK_FALSE((without.by_mpi || without.meeting));
    CHECK(without.hint.find("--init") != std::string::npos);
}

TEST_CASE("train's own options come before any launcher's word, belong together, and may not contradict it") {
    RankOptions options{.rank = 1, .world = 4, .local_rank = 1, .init = "tcp://10.0.0.1:2000"};
    RankEnvironment found = under({}, options);
    CHECK(found.rank == 1);
    CHECK(found.size == 4);
    CHECK(found.local_rank == 1);
    CHECK(found.meeting->host == "10.0.0.1");
    CHECK(under(with(kTorchrun, {}), options).meeting->host == "10.0.0.1");
    CHECK_THROWS_WITH_AS(under(kSlurm, options), doctest::Contains("--rank says rank 1 of 4, Slurm says rank 2 of 4"), engine::Error);
    for (RankOptions part : {RankOptions{.rank = 1, .world = {}, .local_rank = {}, .init = {}},
                             RankOptions{.rank = 1, .world = 2, .local_rank = {}, .init = {}},
                             RankOptions{.rank = {}, .world = {}, .local_rank = 0, .init = {}},
                             RankOptions{.rank = {}, .world = {}, .local_rank = {}, .init = "tcp://a:1"},
                             RankOptions{.rank = 4, .world = 4, .local_rank = {}, .init = "tcp://a:1"}}) {
        CHECK_THROWS_AS(under({}, part), engine::UsageError);
    }
}
