#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// The last T positions of each sequence: (B,S,C) → (B,T,C). x itself where T = S.
Var slice_rows(Tape& tape, const Var& x_BSC, Size T);

}  // namespace engine::ops
