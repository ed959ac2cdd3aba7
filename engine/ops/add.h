#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// x + y of equal shapes.
Var add(Tape& tape, const Var& x, const Var& y);

}  // namespace engine::ops
