#pragma once
#include "engine/autograd/tape.h"
#include "moe/ops/picks.h"

namespace moe::ops {

// The K largest scores of each row (moe/kernels/top_ids.h); scores (N,E) of Sum dtype, without gradient.
Picks top_ids(engine::Exec& exec, const engine::Tensor& scores_NE, engine::Size K);
// The same under expert dropout, which acts while the tape trains: a dropped choice is picked only where too few are left, and is not kept.
Picks top_ids(engine::Tape& tape, const engine::Tensor& scores_NE, engine::Size K, float dropout, std::uint32_t site);

}  // namespace moe::ops
