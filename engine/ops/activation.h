#pragma once
#include "engine/autograd/tape.h"
#include "engine/kernels/activation_kind.h"

#include <string_view>

namespace engine::ops {

using kernels::Activation;

// relu | gelu | gelu-tanh | silu | identity
Activation parse_activation(std::string_view name);

// act(x), or act(x)∘z where z is given.
Var activation(Tape& tape, const Var& x, Activation kind, const Var& z = Var());

}  // namespace engine::ops
