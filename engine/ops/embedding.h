#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// Rows of the table by id. table (V,C), ids (B,T) int32 in [0, V) → (B,T,C).
Var embedding(Tape& tape, const Var& table_VC, const Tensor& ids_BT);

}  // namespace engine::ops
