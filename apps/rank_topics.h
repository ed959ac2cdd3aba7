#pragma once
#include "apps/config.h"
#include "apps/rank_group.h"
#include "data/token_store.h"

namespace apps {

// What must be the same on every rank before a training begins: configuration, program, instruction set, data;
// and of the command's options those that decide what ranks tell each other.
std::vector<Topic> rank_topics(const Config& config, const data::TokenStore& store, const std::string& options);

}  // namespace apps
