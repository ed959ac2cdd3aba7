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

// The same for a table of which a step reads some rows: a row whose whole gradient is 0 keeps w, m and v, without decay; the corrections
// count steps, not a row's updates ("lazy" Adam).
//   g: (rows, C) of S · w, m, v: (rows, c) of S, columns [column, column + c) of the table's: part of a row where ranks cut it
//   memory-bound: reads g once, and of touched rows what adamw reads and writes
template <class D, class S>
void adamw_touched(Exec& exec, Rows<S> w, Rows<const S> g, Rows<S> m, Rows<S> v, Size column, const AdamwOptions& options);

}  // namespace engine::kernels
