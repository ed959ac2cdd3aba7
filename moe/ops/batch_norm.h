#pragma once
#include "engine/autograd/tape.h"
#include "nn/parameter.h"

namespace moe::ops {

// y = (x − mean)/√(variance + 1e-5)∘w + b (moe/kernels/batch_norm.h).   x (N,F); w, b (F).
// While the tape trains, mean and biased variance are those of the whole pass, all ranks, and `running_mean`, `running_variance` get a
// `next`: 0.9·old + 0.1·the pass's, with the unbiased variance; of several passes of a step each goes on from the last. Else the running
// ones are used. Collective: every rank calls it, and its backward pass, in the same order. Training with one row in all is an error.
engine::Var batch_norm(engine::Tape& tape, const engine::Var& x_NF, const engine::Var& w_F, const engine::Var& b_F, nn::State& running_mean,
                       nn::State& running_variance);

}  // namespace moe::ops
