#pragma once
#include "moe/ops/picks.h"

namespace moe::ops {

// One expert a row, equally many rows an expert over the whole pass, all ranks, with the largest sum of logits (N,E) of Sum dtype
// (moe/kernels/balanced_assignment.h). Every rank finds the whole assignment and takes its own rows.
Picks balanced_assignment(engine::Exec& exec, const engine::Tensor& logits_NE);

}  // namespace moe::ops
