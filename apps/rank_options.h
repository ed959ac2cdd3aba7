#pragma once
#include "apps/rank_environment.h"

namespace CLI {
class App;
}

namespace apps {

// --rank, --world, --local-rank, --init and --rank-timeout, which commands of many ranks share.
void add_rank_options(CLI::App& app, RankOptions& rank, double& rank_timeout);

}  // namespace apps
