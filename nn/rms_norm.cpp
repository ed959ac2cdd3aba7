#include "nn/rms_norm.h"

#include "engine/ops/layer_norm.h"
#include "nn/init.h"

namespace nn {

RmsNorm::RmsNorm(Size channels, double eps) : eps_(eps) { add(weight_, "weight", {channels}, constant(1)); }

Var RmsNorm::forward(engine::Tape& tape, const Var& x_NC) const { return engine::ops::rms_norm(tape, x_NC, weight_.var, eps_); }

}  // namespace nn
