#pragma once
#include "engine/autograd/tape.h"
#include "engine/ops/activation.h"
#include "moe/ops/picks.h"
#include "moe/ops/weight_share.h"

#include <memory>

namespace moe::ops {

// y[n] = Σ_k gate[n,k] · ( act(x[n]·w1_e)[∘(x[n]·w3_e)] )·w2_e,  e = kept[n,k]          Csordás 2023, eq. 12–13
// x (N,C); gates (N,K) of Sum dtype; w1, w3 (E,C,G); w2 (E,G,C); w3 undefined without a gated linear unit. Rows are sorted by expert;
// choices that are not kept are not computed and have gradients of 0. Kept for the backward pass are the routing and the hidden values
// before the activation, (R,G); no N·K·C buffer is taken. While the tape trains, the hidden values after it are dropped out at
// `hidden_dropout` (moe/kernels/hidden_dropout.h).
// Where ranks share experts (Exec::sharing), w1, w2 and w3 are this rank's and the rows of its group are computed together
// (ExpertExchange). With `w1_share` the gradient of w1 is left there, for an operation recorded before this one to add.
engine::Var experts(engine::Tape& tape, const engine::Var& x_NC, const Picks& picks, const engine::Var& gates_NK, const engine::Var& w1_ECG,
                    const engine::Var& w2_EGC, const engine::Var& w3_ECG, engine::ops::Activation activation, float hidden_dropout = 0,
                    std::uint32_t site = 0, const std::shared_ptr<WeightShare>& w1_share = {});

}  // namespace moe::ops
