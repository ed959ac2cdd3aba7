#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// Row t is the sinusoid of distance t − (count−1) ≤ 0: columns sin, cos of distance/10000^(2i/C), interleaved. C is even.
Tensor sinusoid_positions(Exec& exec, Size count, Size C, Dtype dtype);

struct XlAttentionParameters {
    Var position_CF;    // pos.w, F = H·Sh
    Var content_bias;   // u (H,Sh)
    Var position_bias;  // v (H,Sh)
    Var scale;          // (1)
};

// engine/kernels/xl_attention.h, with the positions projected here: r = positions·pos.w, whose gradient is a sum over sequences.
// q (B,T,F); k, v (B,S,F), memory first; positions (S,C) from sinusoid_positions. → (B,T,F)
Var xl_attention(Tape& tape, const Var& q, const Var& k, const Var& v, const Tensor& positions_SC, const XlAttentionParameters& parameters);

// r = positions·pos.w (S,F), outside the tape.
Tensor project_positions(Exec& exec, const Tensor& positions_SC, const Var& position_CF);
// The same attention with positions that were projected before; only on a tape that does not record: decoding asks for them at every token.
Var xl_attention_projected(Tape& tape, const Var& q, const Var& k, const Var& v, const Tensor& r_SF,
                           const XlAttentionParameters& parameters);

}  // namespace engine::ops
