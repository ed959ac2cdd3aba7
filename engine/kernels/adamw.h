#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

struct AdamwOptions {
    double beta1, beta2, eps;
    double lr_factor;  // on the step's learning rate
    double decay;
};

// With g = clip_factor·gradient and lr = lr_factor·learning_rate, for every element (Loshchilov & Hutter 2019, algorithm 2):
//   m ← β₁m + (1−β₁)g,   v ← β₂v + (1−β₂)g²,   w ← w − lr·( (m/c₁)/(√(v/c₂) + eps) + decay·w ),   c = 1 − βᵗ
// rate, clip factor and corrections come from exec.scalars in device memory.
//   w, g, m, v: n of S · memory-bound: reads 4, writes 3 · no sums
template <class D, class S>
void adamw(Exec& exec, S* w, const S* g, S* m, S* v, Size n, const AdamwOptions& options);

// touched[r] = 1 where a value of row r is not 0, else 0.   g (rows,C) of S, touched (rows)
template <class D, class S>
void touched_rows(Exec& exec, S* touched, Rows<const S> g);

// adamw for a table of which a step reads some rows: where touched[r] is 0, row r keeps w, m and v, without decay; the corrections count
// steps, not a row's updates ("lazy" Adam).   w, g, m, v: (rows, c) of S, all columns of the table's or some · touched (rows)
//   memory-bound: of touched rows what adamw reads and writes
template <class D, class S>
void adamw_touched(Exec& exec, Rows<S> w, Rows<const S> g, Rows<S> m, Rows<S> v, const S* touched, const AdamwOptions& options);

}  // namespace engine::kernels
