#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// y = x·W (+ b).  x (…,C), W (C,F), b (F) or undefined; y (…,F) in x's dtype.
Var linear(Tape& tape, const Var& x, const Var& w_CF, const Var& b_F = Var());

// The same with y in Sum<T>: logits of routers and of the head stay in fp32 where x is bf16.
Var linear_wide(Tape& tape, const Var& x, const Var& w_CF, const Var& b_F = Var());

}  // namespace engine::ops
