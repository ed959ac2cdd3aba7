#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace apps {

// This process' place among those that a launcher started.
struct RankEnvironment {
    int rank = 0, size = 1;
    std::string launcher;  // who says so; empty: nobody, one rank
};

// A variable's value, or none.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

// What torchrun's, Open MPI's, Slurm's, PMI's and MVAPICH's variables say, in this order: the first complete pair of rank and size. Throws
// where a value is no such number, and where two of them differ. Inside a job of Slurm, mpirun's word counts: Slurm's rank is then that of
// mpirun's daemon, and only the sizes must agree.
RankEnvironment rank_environment(const Variables& variables);
// Of this process.
RankEnvironment rank_environment();

}  // namespace apps
