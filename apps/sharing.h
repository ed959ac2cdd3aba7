#pragma once
#include "apps/config.h"
#include "engine/base/exec.h"
#include "nn/language_model.h"

namespace apps {

// parallel.expert and table_shards as the exec of one of `ranks` ranks wants it; null where nothing is shared.
engine::Sharing sharing_of(const Config& config, engine::Communicator* ranks);

// Throws where the ranks cannot share this model's experts or tables so that no bit changes: groups that are not equal or hold no subtree
// of the micro-shards, experts or columns that do not divide, methods without experts of their own weights or without such tables.
void check_sharing(const Config& config, nn::LanguageModel& model, int ranks);

}  // namespace apps
