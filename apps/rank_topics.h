#pragma once
#include "apps/config.h"
#include "apps/rank_group.h"
#include "data/token_store.h"

namespace apps {

// What must be the same on every rank before a training begins: configuration, program, instruction set, data.
std::vector<Topic> rank_topics(const Config& config, const data::TokenStore& store);

}  // namespace apps
