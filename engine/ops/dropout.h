#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// In training: every element is 0 with probability `rate`, else divided by 1 − rate; elsewhere x itself. `site` names the place
// (engine/base/philox.h). Needs exec.scalars. x is batch-major: its rows are this rank's part of the whole batch's.
Var dropout(Tape& tape, const Var& x, float rate, std::uint32_t site);

}  // namespace engine::ops
