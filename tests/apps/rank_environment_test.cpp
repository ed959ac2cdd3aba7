#include "apps/rank_environment.h"

#include "engine/base/error.h"

#include <map>

#include <doctest/doctest.h>

using namespace apps;

namespace {

RankEnvironment under(const std::map<std::string, std::string>& values) {
    return rank_environment([&](const std::string& name) -> std::optional<std::string> {
        auto found = values.find(name);
        return found != values.end() ? std::optional(found->second) : std::nullopt;
    });
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
