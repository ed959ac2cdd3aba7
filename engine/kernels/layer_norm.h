#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// x̂[n,c] = (x[n,c] − m[n])·r[n],  y = x̂∘w + b,  m = mean_c x,  r = 1/√(mean_c (x − m)² + eps)        Ba, Kiros & Hinton 2016
// Root-mean-square norm: m = 0 and b = 0 (b null, m null).                                         Zhang & Sennrich 2019, eq. 4
//
//   x, y (N,C) of T · w, b (C) of T · m, r (N) of Sum<T>, kept for the backward pass
//   memory-bound; row sums in sixteen fixed lanes on the CPU, over a tree of threads elsewhere
template <class D, class T>
void layer_norm(Exec& exec, Rows<T> y, Sum<T>* m, Sum<T>* r, Rows<const T> x, const T* w, const T* b, double eps);

// dx (+)= r·(g − mean_c g − x̂·mean_c(g∘x̂)),  g = dy∘w   (without mean_c g where m is null)
template <class D, class T>
void layer_norm_backward(Exec& exec, Rows<T> dx, bool add, Rows<const T> dy, Rows<const T> x, const T* w, const Sum<T>* m, const Sum<T>* r);

// dw[c] (+)= Σ_n dy·x̂,  db[c] (+)= Σ_n dy (db may be null). Blocks of 64 rows in order on the CPU, of 256 elsewhere.
template <class D, class T>
void layer_norm_weight_gradient(Exec& exec, Sum<T>* dw, Sum<T>* db, Rows<const T> dy, Rows<const T> x, const Sum<T>* m, const Sum<T>* r,
                                bool add);

}  // namespace engine::kernels
