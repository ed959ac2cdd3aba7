#pragma once
#include "engine/autograd/tape.h"
#include "moe/kernels/gates.h"
#include "moe/ops/picks.h"

namespace moe::ops {

// What multiplies each chosen expert's output, (N,K) of Sum dtype (moe/kernels/gates.h). logits (N,E) of Sum dtype may be undefined for
// Gate::one; `dtype` is what gates are kept in there.
engine::Var gates(engine::Tape& tape, const engine::Var& logits_NE, const Picks& picks, kernels::GateRule rule, engine::Dtype dtype);

}  // namespace moe::ops
