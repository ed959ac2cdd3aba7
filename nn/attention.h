#pragma once
#include "engine/autograd/tape.h"
#include "nn/feed_forward.h"
#include "nn/key_value_cache.h"

namespace nn {

// The rotations of positions, made once and anew only when more are needed.
class RotaryTable {
  public:
    Tensor get(engine::Exec& exec, Size count, Size head_size, Dtype dtype);

  private:
    Tensor table_;
};

// Causal attention over one window, with rotary positions or none (the model then adds its own): engine/kernels/attention.h between
// qkv.w (C,3C) and out.w (C,C), with biases where `bias`.
class Attention : public Module {
  public:
    Attention(const LayerPlace& place, Size heads, bool rope, bool bias);

    // x (B,T,C) → (B,T,C)
    Var forward(engine::Tape& tape, const Var& x_BTC, RotaryTable& positions) const;
    // x (B,t,C): the positions after those in the cache, to which they are added. Row for row the bits of `forward` over all of them.
    Var decode(engine::Tape& tape, const Var& x_BtC, KeyValueCache& cache, RotaryTable& positions) const;

  private:
    Tensor rotations(engine::Exec& exec, Size count, Dtype dtype, RotaryTable& positions) const;

    Size heads_, head_size_;
    bool rope_;
    Parameter qkv_, output_, qkv_bias_, output_bias_;
};

}  // namespace nn
