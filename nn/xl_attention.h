#pragma once
#include "engine/autograd/tape.h"
#include "nn/feed_forward.h"

namespace nn {

// Keys and values of the positions that a stream has seen, for decoding token by token.
struct KeyValueCache {
    Tensor keys, values;  // (B, seen, H·S); undefined while nothing was seen
};

// Transformer-XL's attention with relative positions, memory and a learned scale (reference: Dai et al. 2019, eq. 4–7; sigma-moe.md 6).
class XlAttention : public Module {
  public:
    XlAttention(const LayerPlace& place, Size heads, Size head_size);

    // full (B,M+T,C): memory and current rows, normalised; queries are the last T positions. → (B,T,C)
    Var forward(engine::Tape& tape, const Var& full_BMTC, Size T) const;
    // x (B,t,C): new rows only. Appends their keys and values to the cache and keeps its last `limit` positions afterwards.
    Var decode(engine::Tape& tape, const Var& x_BtC, KeyValueCache& cache, Size limit) const;

  private:
    Var attend(engine::Tape& tape, const Var& q, const Var& k, const Var& v) const;

    Size channels_, heads_, head_size_;
    Parameter query_, key_, value_, position_, output_, content_bias_, position_bias_, scale_;
};

}  // namespace nn
