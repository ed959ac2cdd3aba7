#pragma once
#include "apps/evaluate.h"
#include "apps/run_folder.h"

namespace apps {

// Puts an evaluation of the run's own data and settings into metrics.jsonl, in the place of one of the same step and split. Throws where
// another process trains in the folder.
void record_evaluation(const RunFolder& folder, std::int64_t step, const Evaluation& evaluation);

}  // namespace apps
