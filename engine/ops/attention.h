#pragma once
#include "engine/autograd/tape.h"

namespace engine::ops {

// The table of engine/kernels/rotary.h for positions 0 … count−1: (count, head_size) of the Sum dtype. head_size is even.
Tensor rotary_table(const Exec& exec, Size count, Size head_size, Dtype dtype);

// engine/kernels/attention.h over whole sequences. qkv (B,T,3F): queries, keys and values beside each other, F = heads·Sh → (B,T,F).
// `rotary`, a table of at least T positions, turns queries and keys; undefined: no positions.
Var attention(Tape& tape, const Var& qkv_BT3F, Size heads, const Tensor& rotary = Tensor());

// Decoding: the queries of t new positions against all keys so far, to which theirs are appended. keys, values (B,seen,F), undefined before
// the first call. Row for row the bits of `attention` over the whole sequence. Nothing is recorded.
Var attention_step(Tape& tape, const Var& qkv_Bt3F, Size heads, const Tensor& rotary, Tensor& keys_BSF, Tensor& values_BSF);

}  // namespace engine::ops
