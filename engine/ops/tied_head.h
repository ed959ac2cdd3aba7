#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// logits = x·tableᵀ in Sum<T>: the head of a model whose embedding is tied to it.   x (…,C), table (V,C) → (…,V)
Var tied_head(Tape& tape, const Var& x, const Var& table_VC);

}  // namespace engine::ops
