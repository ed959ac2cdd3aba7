#include "nn/layer_norm.h"

#include "engine/ops/layer_norm.h"
#include "nn/init.h"

namespace nn {

LayerNorm::LayerNorm(Size channels, double eps) : eps_(eps) {
    add(weight_, "weight", {channels}, constant(1));
    add(bias_, "bias", {channels}, constant(0));
}

Var LayerNorm::forward(engine::Tape& tape, const Var& x_NC) const {
    return engine::ops::layer_norm(tape, x_NC, weight_.var, bias_.var, eps_);
}

}  // namespace nn
