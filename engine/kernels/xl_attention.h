#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// Attention with relative positions and memory (Dai et al. 2019, eq. 4–7; a learned scale as in the σ-MoE paper's code):
//   s[i,j] = scale·( (q_i + u)·k_j + (q_i + v)·r_{j−i} ),  query i sees keys j ≤ M + i,  y_i = Σ_j softmax_j(s[i,j])·v_j
//
//   q, y (B·T, H·Sh) · k, v (B·S, H·Sh), S = M + T, memory first · u, v_bias (H,Sh) · scale (1)
//   r (S, H·Sh): row t belongs to distance key − query = t − (S−1), so that s[i,j] takes row j + T−1−i
//   lse (B,H,T) of Sum<T>: log-sum-exp of every row, all that is kept for the backward pass; no T×S tensor outlives a task
//   a row's bits depend on its own query and keys only · 6·T·S̄·H·Sh FLOPs a sequence forward, S̄ the visible pairs
struct XlAttentionShape {
    Size B, T, S, H, Sh;
};

template <class T>
struct XlAttentionInputs {
    Rows<const T> q, k, v, r;
    const T* u;
    const T* v_bias;
    const T* scale;
};

template <class D, class T>
void xl_attention(Exec& exec, Rows<T> y, Sum<T>* lse, const XlAttentionInputs<T>& in, XlAttentionShape shape);

// dq, dk, dv are written (or added to) for sequences [first, first + count); dr (S,H·Sh), du, dv_bias (H·Sh) and dscale (1) are set to the
// sums over these sequences, in order.
template <class T>
struct XlAttentionGradients {
    Rows<T> dq, dk, dv;
    bool add_q, add_k, add_v;
    Rows<Sum<T>> dr;
    Sum<T>* du;
    Sum<T>* dv_bias;
    Sum<T>* dscale;
};
template <class D, class T>
void xl_attention_backward(Exec& exec, const XlAttentionGradients<T>& out, Rows<const T> dy, const Sum<T>* lse,
                           const XlAttentionInputs<T>& in, XlAttentionShape shape, Size first, Size count);

}  // namespace engine::kernels
