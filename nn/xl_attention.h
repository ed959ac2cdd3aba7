#pragma once
#include "engine/ops/xl_attention.h"
#include "nn/feed_forward.h"
#include "nn/key_value_cache.h"

namespace nn {

// The sinusoids of relative distances. The rows of fewer positions are the last of those of more, so one table serves all.
class PositionTable {
  public:
    Tensor get(engine::Exec& exec, Size count, Size channels, Dtype dtype);

  private:
    Tensor table_;
};

// Transformer-XL's attention with relative positions, memory and a learned scale (reference: Dai et al. 2019, eq. 4–7; sigma-moe.md 6).
class XlAttention : public Module {
  public:
    XlAttention(const LayerPlace& place, Size heads, Size head_size);

    // full (B,M+T,C): memory and current rows, normalised; queries are the last T positions. → (B,T,C)
    Var forward(engine::Tape& tape, const Var& full_BMTC, Size T, PositionTable& positions) const;
    // x (B,t,C): new rows only. Appends their keys and values to the cache and keeps its last `limit` positions afterwards.
    Var decode(engine::Tape& tape, const Var& x_BtC, KeyValueCache& cache, Size limit, PositionTable& positions) const;

  private:
    engine::ops::XlAttentionParameters parameters() const;

    Size channels_;
    Parameter query_, key_, value_, position_, output_, content_bias_, position_bias_, scale_;
};

}  // namespace nn
