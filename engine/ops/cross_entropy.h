#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// The objective weight·Σ_n −ln softmax(logits[n])[target[n]], over rows whose target is not −1. logits (N,V) of Sum dtype, targets (N)
// int32. Returns the unweighted sums of this rank's micro-shards, (shards). The node is a root: it seeds the backward pass itself, and then
// overwrites the logits' memory with their gradient.
Tensor cross_entropy(Tape& tape, const Var& logits_NV, const Tensor& targets_N, double weight);

// The loss of each row (N), nothing recorded.
Tensor row_losses(Tape& tape, const Var& logits_NV, const Tensor& targets_N);

}  // namespace engine::ops
