#pragma once
#include "engine/autograd/tape.h"
#include "moe/kernels/weighted_rows.h"

namespace moe::ops {

// The rows of a table of M that each of N tokens chose: ids (N,J) int32, and their order by row where a pass needs it.
struct ChosenRows {
    engine::Tensor ids_NJ;
    engine::Size rows = 0;
    engine::Tensor offsets, order;

    kernels::RowChoices choices() const;
};

// Sorted if gradients may be wanted or rows are chosen often; else tokens are taken one by one (a few tokens of decoding).
ChosenRows chosen_rows(engine::Exec& exec, const engine::Tensor& ids_NJ, engine::Size M, bool recorded);

// a[n,j] = x[n]·table[ids[n,j]].   x (N,C), table (M,C), or M experts of one cell, (M,C,1) or (M,1,C); a (N,J) of Sum dtype.
engine::Var row_dots(engine::Tape& tape, const engine::Var& x_NC, const engine::Var& table_MC, const ChosenRows& rows);

// y[n] = Σ_j w[n,j]·table[ids[n,j]].   w (N,J) of Sum dtype; y of `shape`, N rows of C, in the table's dtype. In the backward pass one walk
// over the table gives its gradient and w's.
engine::Var row_combine(engine::Tape& tape, const engine::Var& w_NJ, const engine::Var& table_MC, const ChosenRows& rows,
                        const engine::Shape& shape);

}  // namespace moe::ops
