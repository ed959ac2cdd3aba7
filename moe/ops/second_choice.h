#pragma once
#include "engine/autograd/tape.h"
#include "moe/kernels/second_choice.h"
#include "moe/ops/picks.h"

namespace moe::ops {

// First and second expert of each row (moe/kernels/second_choice.h); while the tape does not train `second` is all.
Picks second_choice(engine::Tape& tape, const engine::Tensor& logits_NE, kernels::Second second, std::uint32_t site);

}  // namespace moe::ops
