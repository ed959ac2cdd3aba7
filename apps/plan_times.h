#pragma once
#include "apps/plan.h"
#include "apps/step_estimate.h"

#include <optional>

namespace apps {

// A plan on some number of ranks with the time of its step.
struct TimedPlan {
    int ranks = 1;
    Plan plan;
    StepEstimate step;
};

struct PlanTimes {
    Cluster cluster;
    std::vector<TimedPlan> rows;
};

struct TimeOptions {
    std::string comm;  // a file of constants; empty: assumed
    double flops = 0, memory_bandwidth = 0;
    std::optional<double> overlap;  // none: the backward pass
    int ranks_per_node = 8;
    bool weak = false;  // every rank keeps the tokens of one rank: train.batch grows with the ranks
};

StepWork work_of(const Plan& plan, const Config& config, int ranks);
PlanTimes plan_times(const Config& config, Size vocab, const std::vector<Size>& ranks, const TimeOptions& options);

nlohmann::ordered_json times_json(const PlanTimes& times);
// A line for one number of ranks, a table for several; then what was assumed.
std::string times_text(const PlanTimes& times);

}  // namespace apps
