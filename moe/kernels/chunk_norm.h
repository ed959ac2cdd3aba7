#pragma once
#include "moe/kernels/chunks.h"

namespace moe::kernels {

// y[n, half(i)+j] = (v − m)·r·w[e,j] + b[e,j],  v = z[n, v(i)+j],  m = mean_j v,  r = 1/√(mean_j (v − m)² + eps),  e = expert of chunk i
//
//   z (N,2EW), y (N,EW) of T · w, b (E,W) of T · m, r (N·E) of Sum<T>, kept for the backward pass
//   memory-bound: reads half of z and writes y once; row sums in sixteen fixed lanes on the CPU, over a tree of threads elsewhere
//   a layer norm per chunk: Liu et al. 2021, "Pay Attention to MLPs", sec. 2.1; Yu et al. 2022, sec. 3
template <class D, class T>
void chunk_norm(Exec& exec, Rows<T> y, Sum<T>* m, Sum<T>* r, Rows<const T> z, Rows<const T> w, Rows<const T> b, const Chunks& chunks,
                double eps);

// dz[n, v(i)+j] = r·(g − mean_j g − x̂·mean_j(g∘x̂)),  g = dy∘w[e],  x̂ = (v − m)·r. The columns of u are left alone.
template <class D, class T>
void chunk_norm_backward(Exec& exec, Rows<T> dz, Rows<const T> dy, Rows<const T> z, Rows<const T> w, const Sum<T>* m, const Sum<T>* r,
                         const Chunks& chunks);

// dw[e,j] = Σ dy·x̂,  db[e,j] = Σ dy, over the rows and chunks of expert e. Blocks of 64 rows in order on the CPU, rows in order elsewhere;
// an expert without a chunk gets zeros.
template <class D, class T>
void chunk_norm_weight_gradient(Exec& exec, Rows<Sum<T>> dw, Rows<Sum<T>> db, Rows<const T> dy, Rows<const T> z, const Sum<T>* m,
                                const Sum<T>* r, const Chunks& chunks);

}  // namespace moe::kernels
