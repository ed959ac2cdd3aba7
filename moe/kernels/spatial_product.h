#pragma once
#include "moe/kernels/chunks.h"

namespace moe::kernels {

// Which positions meet which: rows t of a sequence are positions first + t, its keys s positions 0 … first + length − 1.
struct Positions {
    Size context;        // T of spatial.w (E·T,T): expert e's row of position t is e·T + t
    Size first = 0;      // keys before the first row, from a cache
    bool causal = true;  // a row sees keys up to its own position; else all

    ENGINE_BOTH Size keys(Size length) const { return first + length; }
    // How many keys row t sees, of `length` rows.
    ENGINE_BOTH Size seen(Size t, Size length) const { return causal ? first + t + 1 : keys(length); }
};

// g[b,t, half(i)+j] = Σ_{s seen by t} w[e,t,s]·v[b,s, half(i)+j] + bias[e,t],  e = expert of chunk i          Liu et al. 2021, eq. 2
//
//   g (B·length,EW), v (B·keys,EW), w (E·T,T), bias (E,T) of T · compute-bound: 2·EW·seen FLOPs a row
//   w above the diagonal is never read; no buffer beside w's visible part once
//   an element is one chain of fused multiply-adds over s, in order, on the CPU from a tile's first column on: its bits depend on no other
//   row or sequence. bf16 sums in fp32 and rounds once.
template <class D, class T>
void spatial_product(Exec& exec, Rows<T> g, Rows<const T> v, Rows<const T> w, Rows<const T> bias, const Chunks& chunks,
                     const Positions& positions);

// dv[b,s, half(i)+j] = Σ_{t that sees s} w[e,t,s]·dg[b,t, half(i)+j]. first = 0.
template <class D, class T>
void spatial_product_backward(Exec& exec, Rows<T> dv, Rows<const T> dg, Rows<const T> w, const Chunks& chunks, const Positions& positions);

// dw[e,t,s] (+)= Σ_{b, i with expert e} Σ_j dg[b,t, half(i)+j]·v[b,s, half(i)+j], exact zeros where t does not see s or e has no chunk;
// sequences, their chunks and j in order, one chain. first = 0.
template <class D, class T>
void spatial_weight_gradient(Exec& exec, Rows<Sum<T>> dw, Rows<const T> dg, Rows<const T> v, const Chunks& chunks,
                             const Positions& positions, bool add);

// dbias[e,t] (+)= Σ_{b, i with expert e} Σ_j dg[b,t, half(i)+j]: sequences and chunks in order, j in sixteen lanes or over a tree.
template <class D, class T>
void spatial_bias_gradient(Exec& exec, Rows<Sum<T>> dbias, Rows<const T> dg, const Chunks& chunks, const Positions& positions, bool add);

}  // namespace moe::kernels
