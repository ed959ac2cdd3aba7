#pragma once
#include "engine/autograd/tape.h"
#include "engine/kernels/activation_kind.h"
#include "moe/kernels/block_score.h"
#include "moe/ops/picks.h"
#include "moe/ops/weight_share.h"

namespace moe::ops {

// Blocks scored by their own keys, w1 (E,C,G); x (N,C). Scores are in Sum dtype, whatever x is in.

// x·mean_g w1 (N,E) with its gradient (moe/kernels/mean_keys.h). `share` holds the experts' own gradient of w1 until this node adds both.
engine::Var mean_key_scores(engine::Tape& tape, const engine::Var& x_NC, const engine::Var& w1_ECG, std::shared_ptr<WeightShare> share);
// The K largest of the same, without gradient; no (N,E) buffer beyond a slice of rows.
Picks mean_key_picks(engine::Exec& exec, const engine::Tensor& x_NC, const engine::Tensor& w1_ECG, engine::Size K);

// The K blocks with the largest reduced cells (moe/kernels/block_score.h), without gradient. Cells are scored in slices of rows.
Picks cell_picks(engine::Exec& exec, const engine::Tensor& x_NC, const engine::Tensor& w1_ECG, engine::Size K, kernels::Reduce reduce,
                 engine::kernels::Activation activation);

}  // namespace moe::ops
