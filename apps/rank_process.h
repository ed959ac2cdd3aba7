#pragma once
#include <string>
#include <vector>

namespace apps {

// Runs this program with `words` as `ranks` ranks on this machine, and returns their exit code: 0, 2 and 75 as they are, anything else 1.
// SIGINT, SIGTERM and SIGUSR1 reach every rank as SIGUSR1, which asks for an end with everything saved; where this process dies, so do the
// ranks.

// Under mpirun. Throws where it is missing.
int run_ranks_by_mpi(int ranks, const std::vector<std::string>& words);
bool mpirun_is_here();
// As processes of its own that meet over TCP. Where one dies, the others have a few seconds to say so.
int run_ranks_by_tcp(int ranks, const std::vector<std::string>& words);

}  // namespace apps
