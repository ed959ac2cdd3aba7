#pragma once
#include "engine/autograd/tape.h"

namespace moe::ops {

// logits + ν·softplus(deviations), both (N,E) of Sum dtype (moe/kernels/noisy_logits.h).
engine::Var noisy_logits(engine::Tape& tape, const engine::Var& logits_NE, const engine::Var& deviations_NE, std::uint32_t site);

// CV² of the experts' summed gates over the whole pass, all ranks. Returns the loss (1), unweighted; the node is a root.
engine::Tensor gate_variation(engine::Tape& tape, const engine::Var& gates_NK, const engine::Tensor& kept_NK, engine::Size experts,
                              double weight);

}  // namespace moe::ops
