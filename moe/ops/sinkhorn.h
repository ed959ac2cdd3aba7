#pragma once
#include "engine/tensor/tensor.h"

namespace moe::ops {

struct SinkhornRule {
    int iterations = 3;
    bool released = false;   // subtracts the other potential inside both sums, as the released σ-MoE code does
    engine::Size group = 0;  // rows that are balanced together; 0: the whole pass, all ranks
};

// logits + the experts' potential after so many iterations from 0 (LAYERS.md, rule 12): the plan's order within a row. (N,E), no gradient.
engine::Tensor sinkhorn_scores(engine::Exec& exec, const engine::Tensor& logits_NE, SinkhornRule rule);

}  // namespace moe::ops
