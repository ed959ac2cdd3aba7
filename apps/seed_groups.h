#pragma once
// Runs that differ in nothing but their seed, and how far apart they ended.
#include "apps/report_run.h"

#include <string>
#include <vector>

namespace apps {

struct ValueSpread {
    std::vector<double> values;  // that are finite
    double mean, least, most;    // NaN without one
    double deviation;            // the sample's; NaN below two
};
ValueSpread value_spread(const std::vector<double>& values);

struct SeedGroup {
    std::string name;               // what the runs' names have in common
    std::vector<std::size_t> runs;  // in order
};
// Every run is in one group; groups stand in the order of their first runs.
std::vector<SeedGroup> seed_groups(const std::vector<RunReport>& runs);

// What the runs of a group reached last on a split.
ValueSpread last_bits(const std::vector<RunReport>& runs, const SeedGroup& group, const std::string& split);

}  // namespace apps
