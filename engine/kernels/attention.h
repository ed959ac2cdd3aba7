#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// Causal attention:  s[i,j] = q_i·k_j / √Sh,  query i sees keys j ≤ S − T + i,  y_i = Σ_j softmax_j(s[i,j])·v_j   (Vaswani 2017, eq. 1)
//
//   q, y (B·T, H·Sh) · k, v (B·S, H·Sh), S ≥ T: the queries are the last T of S positions · head h has columns h·Sh …
//   lse (B,H,T) of Sum<T>: log-sum-exp of every row, all that is kept for the backward pass; no T×S tensor outlives a block of queries
//   a row's bits depend on its own query and keys only, so decoding one position gives the bits of the whole sequence
//   4·S̄·H·Sh FLOPs a sequence forward, 10·S̄·H·Sh backward, S̄ the visible pairs · scores and softmax in Sum<T>
struct AttentionShape {
    Size B, T, S, H, Sh;
};

template <class T>
struct AttentionInputs {
    Rows<const T> q, k, v;
};

template <class D, class T>
void attention(Exec& exec, Rows<T> y, Sum<T>* lse, const AttentionInputs<T>& in, AttentionShape shape);

// With p = softmax(s), dp = dy_i·v_j:  ds = p∘(dp − Σ_j p∘dp),  dq = ds·k/√Sh,  dk = dsᵀ·q/√Sh,  dv = pᵀ·dy. All three are set.
template <class T>
struct AttentionGradients {
    Rows<T> dq, dk, dv;
};
template <class D, class T>
void attention_backward(Exec& exec, const AttentionGradients<T>& out, Rows<const T> dy, const Sum<T>* lse, const AttentionInputs<T>& in,
                        AttentionShape shape);

}  // namespace engine::kernels
