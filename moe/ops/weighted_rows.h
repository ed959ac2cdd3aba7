#pragma once
#include "engine/autograd/tape.h"
#include "moe/kernels/weighted_rows.h"

#include <memory>

namespace moe::ops {

// The rows of a table of M that each of N tokens chose: ids (N,J) int32, and their order by row where a pass needs it. Where ranks share
// the table's columns in `parts` parts: of all their tokens, of which N are this rank's.
struct ChosenRows {
    engine::Tensor ids_NJ;
    engine::Size rows = 0, tokens = 0;
    int parts = 1;
    engine::Tensor offsets, order;
    // What row_dots last took from the ranks that share the table's columns: two tables may look at one x.
    struct Taken {
        engine::Tensor x_NC, columns;
    };
    std::shared_ptr<Taken> taken = std::make_shared<Taken>();

    kernels::RowChoices choices() const;
};

// Sorted if gradients may be wanted or rows are chosen often; else tokens are taken one by one (a few tokens of decoding).
// `parts`: ranks that share the table's columns, which then do this together, and every op with these rows.
ChosenRows chosen_rows(engine::Exec& exec, const engine::Tensor& ids_NJ, engine::Size M, bool recorded, int parts = 1);

// a[n,j] = x[n]·table[ids[n,j]].   x (N,C), table (M,C), or M experts of one cell, (M,C,1) or (M,1,C); a (N,J) of Sum dtype. A shared
// table: (M, C / parts).
engine::Var row_dots(engine::Tape& tape, const engine::Var& x_NC, const engine::Var& table_MC, const ChosenRows& rows);

// y[n] = Σ_j w[n,j]·table[ids[n,j]].   w (N,J) of Sum dtype; y of `shape`, N rows of C, in the table's dtype. In the backward pass one walk
// over the table gives its gradient and w's.
engine::Var row_combine(engine::Tape& tape, const engine::Var& w_NJ, const engine::Var& table_MC, const ChosenRows& rows,
                        const engine::Shape& shape);

}  // namespace moe::ops
