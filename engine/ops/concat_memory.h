#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// (B,M,C) before (B,T,C) along positions → (B,M+T,C). No gradient flows to the memory.
Var concat_memory(Tape& tape, const Tensor& memory_BMC, const Var& x_BTC);

}  // namespace engine::ops
