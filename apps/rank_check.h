#pragma once
#include "nn/parameter_store.h"

namespace apps {

// Every rank hashes its weights. Throws an AgreedError that names the ranks whose hash is not that of most.
void check_equal_weights(engine::Exec& exec, const nn::ParameterStore& store, std::int64_t step);

// Drills for what no test can wait for, from MOEGRAD_FAULT = RANK:STEP:KIND. At the end of that step that rank's first weight has other
// last bits (`flip`), or all its weights are no numbers (`nan`).
void drill_fault(engine::Exec& exec, const nn::ParameterStore& store, std::int64_t step);

}  // namespace apps
