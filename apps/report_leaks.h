#pragma once
// Methods whose choice for a token depends on later tokens: METHODS.md, the rules below the table. Their loss in training, and for some
// also in evaluation, is lower than what a model that reads forward could reach, and a report must say so.
#include <map>
#include <string>
#include <vector>

namespace apps {

// A sentence for each way in which a run of this configuration (key.path -> value) leaks the future; empty for a causal one.
std::vector<std::string> future_leaks(const std::map<std::string, std::string>& config);

}  // namespace apps
