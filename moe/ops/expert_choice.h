#pragma once
#include "engine/autograd/tape.h"
#include "moe/ops/picks.h"

namespace moe::ops {

// What experts that choose their rows took: by row for the experts' products, by expert for the report.
struct ExpertChoice {
    Picks picks;              // of (N,E): choice e of a row is expert e, kept where it took the row
    engine::Var gates_NE;     // its probability where kept, else 0
    engine::Tensor rows_ES;   // int32: the rows of the whole pass that each expert took, by falling probability
    engine::Tensor gates_ES;  // their probabilities
};

// min(rows, ⌈rows·factor/E⌉) rows of the whole pass, all ranks, for every expert, by p = softmax of the logits (N,E) over experts or over
// the pass's rows (moe/kernels/expert_choice.h).
ExpertChoice expert_choice(engine::Tape& tape, const engine::Var& logits_NE, double factor, bool over_rows);

}  // namespace moe::ops
