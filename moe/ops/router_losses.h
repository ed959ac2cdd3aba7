#pragma once
#include "engine/autograd/tape.h"
#include "moe/ops/picks.h"

namespace moe::ops {

// Losses on a router's logits (N,E) of Sum dtype over the whole pass, all ranks. Each returns the loss (1), unweighted; each node is a
// root: its backward pass adds weight·gradient to the logits by itself.

// ln Σ_e exp(z): (N), shared by the losses below.
engine::Tensor row_lse(engine::Exec& exec, const engine::Tensor& logits_NE);
// scale·Σ_e f_e·P_e (moe/kernels/fraction_mean.h).
engine::Tensor fraction_mean_loss(engine::Tape& tape, const engine::Var& logits_NE, const engine::Tensor& lse_N, const Picks& picks,
                                  double scale, double weight);
// The mean of lse² (moe/kernels/row_lse.h).
engine::Tensor z_loss(engine::Tape& tape, const engine::Var& logits_NE, const engine::Tensor& lse_N, double weight);

}  // namespace moe::ops
