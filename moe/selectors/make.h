#pragma once
#include "moe/methods/table.h"
#include "moe/selectors/selector.h"

namespace moe {

// S of a row of the table.
// `scored`: the gate is a function of the scores.
std::unique_ptr<ExpertSelector> make_selector(const Method& method, const nn::OptionTable& options, const ExpertsPlace& at, bool scored);

}  // namespace moe
