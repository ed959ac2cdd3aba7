#pragma once
#include "engine/autograd/tape.h"
#include "moe/kernels/key_gates.h"

namespace moe::ops {

// moe/kernels/key_gates.h over scores (N,J) of Sum dtype; softmax over groups of `group` neighbours. No padding between rows.
engine::Var key_gates(engine::Tape& tape, const engine::Var& scores_NJ, engine::Size group, kernels::KeyGate kind);

}  // namespace moe::ops
