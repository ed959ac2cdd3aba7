#pragma once
#include "apps/plan.h"
#include "apps/rank_group.h"
#include "apps/training_run.h"

namespace apps {

// What must be given and what is not built yet. Throws before anything is written.
void check_trainable(const Config& config);
// Throws, naming both values, where the folder holds a run of another configuration.
void check_resumable(const Config& config, const RunFolder& folder);

// Trains in a folder, as one of the group's ranks or, without a group, over parallel.ranks virtual ranks; a folder that holds a run goes on
// bit-exactly, a finished run is left as it is. Makes the folder, locks it, and writes all of it. `plan` is the configuration's own.
Outcome train_in(const RunFolder& folder, const Config& config, const data::TokenStore& store, const Plan& plan, const StopRules& rules,
                 const std::optional<fs::path>& init_from = {}, RankGroup* group = nullptr);

}  // namespace apps
