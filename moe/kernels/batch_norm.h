#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;
using engine::Sum;

// x̂[n,f] = (x[n,f] − m[f])·r[f],  y = x̂∘w + b,  m and v mean and biased variance of column f over all rows of a pass,  r = 1/√(v + eps)
//                                                                                                   Ioffe & Szegedy 2015, alg. 1
//   x, y (N,F) of T · w, b (F) of T · m, v, r (F) of Sum<T>
//   Sums over a micro-shard's rows are leaves: blocks of 64 rows in order, then the blocks in order, the same on every device. Leaves of
//   all ranks are added along the aligned tree, so the statistics have the same bits whatever the number of ranks. Memory-bound.

// sum[f] = Σ_n x[n,f];  with m: Σ_n (x[n,f] − m[f])²
template <class D, class T>
void batch_norm_leaf(Exec& exec, Sum<T>* sum, Rows<const T> x, const Sum<T>* m);

// sums[f] = Σ_n dy[n,f],  sums[F + f] = Σ_n dy∘x̂: the gradients of b and w, too.
template <class D, class T>
void batch_norm_gradient_leaf(Exec& exec, Sum<T>* sums, Rows<const T> dy, Rows<const T> x, const Sum<T>* m, const Sum<T>* r);

// r[f] = 1/√(v[f] + eps)
template <class D, class S>
void batch_norm_rate(Exec& exec, S* r, const S* v, Size F, double eps);

// next_m = 0.9·old_m + 0.1·m;  next_v = 0.9·old_v + 0.1·v·rows/(rows − 1)
template <class D, class S>
void batch_norm_running(Exec& exec, S* next_m, S* next_v, const S* old_m, const S* old_v, const S* m, const S* v, Size F, double rows);

template <class D, class T>
void batch_norm(Exec& exec, Rows<T> y, Rows<const T> x, const Sum<T>* m, const Sum<T>* r, const T* w, const T* b);

// dx (+)= r∘w∘(dy − means[f] − x̂∘means[F + f]), with the means over all rows of dy and dy∘x̂; null: m and r are constants, no means.
template <class D, class T>
void batch_norm_backward(Exec& exec, Rows<T> dx, bool add, Rows<const T> dy, Rows<const T> x, const Sum<T>* m, const Sum<T>* r, const T* w,
                         const Sum<T>* means);

}  // namespace moe::kernels
