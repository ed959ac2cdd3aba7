#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;
using engine::Sum;

// a[n, i·P + j] = max(0, u[n,i] + v[n,j]): all P² cells of product keys at once, as the σ-MoE paper's released sweeps ran them.
//   u, v (N,P) of Sum<T> · a (N,P²) of T · memory-bound: writes N·P² elements
template <class D, class T>
void outer_relu(Exec& exec, Rows<T> a, Rows<const Sum<T>> u, Rows<const Sum<T>> v);

// du[n,i] = Σ_j da[n, i·P+j],  dv[n,j] = Σ_i da[n, i·P+j], over cells with u + v > 0, in order.   du, dv (N,P) of T.
template <class D, class T>
void outer_relu_backward(Exec& exec, Rows<T> du, Rows<T> dv, Rows<const Sum<T>> da, Rows<const Sum<T>> u, Rows<const Sum<T>> v);

}  // namespace moe::kernels
