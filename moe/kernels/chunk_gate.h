#pragma once
#include "moe/kernels/chunks.h"

namespace moe::kernels {

// h[n, half(i)+j] = p[b,i]·u·γ,   u = z[n, u(i)+j],   γ = g[n, half(i)+j] or its tanh            Liu et al. 2021, eq. 3
//
//   z (N,2EW), g, h (N,EW) of T · p (B,E) of Sum<T>, null: 1 · memory-bound; no sums forward, so one order on every device
template <class D, class T>
void chunk_gate(Exec& exec, Rows<T> h, Rows<const T> z, Rows<const T> g, const Sum<T>* p, bool tanh, const Chunks& chunks);

// dz[n, u(i)+j] = dh·p·γ,   dg = dh·p·u·γ',   dp[b,i] = Σ_{t,j} dh·u·γ (null: not wanted). The columns of v in dz are left alone.
// dp: rows in order of sixteen-lane sums on the CPU, over a tree of threads elsewhere.
template <class D, class T>
void chunk_gate_backward(Exec& exec, Rows<T> dz, Rows<T> dg, Sum<T>* dp, Rows<const T> dh, Rows<const T> z, Rows<const T> g,
                         const Sum<T>* p, bool tanh, const Chunks& chunks);

}  // namespace moe::kernels
