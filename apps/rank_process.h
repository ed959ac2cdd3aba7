#pragma once
#include <string>
#include <vector>

namespace apps {

// Runs this program with `words` as `ranks` ranks under mpirun, and returns their exit code: 0, 2 and 75 as they are, anything else 1.
// SIGINT, SIGTERM and SIGUSR1 reach every rank as SIGUSR1, which asks for an end with everything saved; where this process dies, so do the
// ranks. Throws where mpirun is missing.
int run_ranks(int ranks, const std::vector<std::string>& words);

}  // namespace apps
