#pragma once
#include "engine/comm/transport.h"

#include <functional>
#include <optional>
#include <string>

namespace apps {

// What train's own options say of this process' place: all of rank, world and init, or none of them.
struct RankOptions {
    std::optional<int> rank, world, local_rank;
    std::string init;  // tcp://HOST:PORT or file://FOLDER
};

// This process' place among those that a launcher started, and how it meets them.
struct RankEnvironment {
    int rank = 0, size = 1;
    std::optional<int> local_rank;  // among those of its machine, where somebody says so
    std::string launcher;           // who says so; empty: nobody, one rank
    // Without MPI, here; with neither, nobody says where, and `hint` is what would help.
    std::optional<engine::TcpMeeting> meeting;
    bool by_mpi = false;
    std::string hint;
};

// A variable's value, or none.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

// What the options, then torchrun's, Open MPI's, Slurm's, PMI's and MVAPICH's variables say: the first complete pair of rank and size.
// Throws where a value is no such number, and where two of them differ. Inside a job of Slurm, mpirun's word counts: Slurm's rank is then
// that of mpirun's daemon, and only the sizes must agree. Ranks of mpirun, srun --mpi=… and PMI speak MPI where the program has it. Without
// it: torchrun's meet at MASTER_ADDR and MASTER_PORT (one port above where its agent keeps a store there), Slurm's at a port made of the
// job's number on the step's first machine. The job's token is MOEGRAD_JOB_TOKEN, or what the launcher calls the job.
RankEnvironment rank_environment(const Variables& variables, const RankOptions& options, bool has_mpi);
// Of this process.
RankEnvironment rank_environment(const RankOptions& options = {});

}  // namespace apps
