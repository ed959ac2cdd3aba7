#pragma once
#include "engine/autograd/tape.h"
#include "moe/kernels/biased_scores.h"
#include "moe/ops/picks.h"

namespace moe::ops {

// The K largest of score + bias in the best groups (moe/kernels/biased_scores.h). logits (N,E), bias (E) of Sum dtype, no gradient.
Picks biased_picks(engine::Exec& exec, const engine::Tensor& logits_NE, const engine::Tensor& bias_E, kernels::GroupRule rule,
                   engine::Size K);

// How often each expert was chosen in the whole pass, all ranks: (E) of `dtype`.
engine::Tensor choice_counts(engine::Exec& exec, const Picks& picks, engine::Size experts, engine::Dtype dtype);
// bias + rate·sign(target − counts): (E).
engine::Tensor moved_bias(engine::Exec& exec, const engine::Tensor& bias_E, const engine::Tensor& counts_E, double target, double rate);

// The balance of single sequences of T rows, their mean (moe/kernels/sequence_balance.h); T = 0: the whole pass is one sequence. Returns
// the loss (1), unweighted, over all ranks; the node is a root.
engine::Tensor sequence_balance_loss(engine::Tape& tape, const engine::Var& logits_NE, const Picks& picks, kernels::Score score,
                                     engine::Size T, double weight);

}  // namespace moe::ops
