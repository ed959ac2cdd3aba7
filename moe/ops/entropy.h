#pragma once
#include "engine/autograd/tape.h"

namespace moe::ops {

// Σ_e p_e ln p_e with p the mean over the whole pass, all ranks, of softmax(logits) (moe/kernels/entropy.h). Returns the loss (1),
// unweighted. The node is a root: its backward pass adds weight·gradient to the logits by itself.
engine::Tensor entropy_loss(engine::Tape& tape, const engine::Var& logits_NE, double weight);

}  // namespace moe::ops
