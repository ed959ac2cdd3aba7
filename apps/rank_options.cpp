#include "apps/rank_options.h"

#include "apps/option_checks.h"

#include <CLI/CLI.hpp>

namespace apps {

void add_rank_options(CLI::App& app, RankOptions& rank, double& rank_timeout) {
    app.add_option("--rank", rank.rank, "without a launcher: this process' rank")->check(not_negative());
    app.add_option("--world", rank.world, "how many ranks there are")->check(positive());
    app.add_option("--local-rank", rank.local_rank, "the rank among those of its machine: its GPU")->check(not_negative());
    app.add_option("--init", rank.init, "where the ranks meet: tcp://HOST:PORT of rank 0, or file://FOLDER that all see");
    app.add_option("--rank-timeout", rank_timeout, "seconds that ranks wait for a rank that does not answer (default: 600)")
        ->check(between(1.0, 86400.0));
}

}  // namespace apps
