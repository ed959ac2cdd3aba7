#pragma once
#include "engine/autograd/tape.h"
#include "moe/kernels/product_keys.h"

namespace moe::ops {

// What product keys or low-rank keys chose: ids (N,J) int32 and their scores (N,J) of Sum dtype, without padding between rows.
struct KeyChoice {
    engine::Tensor ids_NJ;
    engine::Var scores_NJ;
};

// The K best slots of each head (moe/kernels/product_keys.h), J = H·K. q (N,H·D), or (N,D) where shared; subkeys (H,2,P,D/2) or, shared,
// (2,P,D/2). Backward: scores are sums of two dots, so query and sub-keys get theirs as weighted rows.
KeyChoice product_keys(engine::Tape& tape, const engine::Var& q, const engine::Var& subkeys, const kernels::ProductKeys& keys);

// The K columns m of a row with the largest r[n]·up[:,m], and that score. r (N,R), up (R,M).
KeyChoice low_rank_keys(engine::Tape& tape, const engine::Var& r_NR, const engine::Var& up_RM, engine::Size K);

}  // namespace moe::ops
