#pragma once
#include "apps/config.h"
#include "data/token_store.h"

namespace apps {

// How often each id below `vocab` stands in the training text, where the configured feed-forward asks for it (a balanced table of ids);
// empty where it does not. Reads the whole split.
std::vector<std::int64_t> token_counts(const Config& config, const data::TokenStore& store, Size vocab);

}  // namespace apps
