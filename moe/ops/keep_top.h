#pragma once
#include "engine/autograd/tape.h"

namespace moe::ops {

struct KeptTop {
    engine::Var y_NF;
    engine::Tensor ids_NK;
};

// The K largest values of each row stay, the others become 0 (moe/kernels/keep_top.h).
KeptTop keep_top(engine::Tape& tape, const engine::Var& x_NF, engine::Size K);

}  // namespace moe::ops
