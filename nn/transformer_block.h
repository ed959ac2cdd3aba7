#pragma once
#include "nn/layer_norm.h"
#include "nn/xl_attention.h"

#include <memory>

namespace nn {

// x += Dropout(Attention(LN₁([memory; x])));  x += Dropout(FeedForward(LN₂(x)))
class TransformerBlock : public Module {
  public:
    TransformerBlock(const LayerPlace& place, Size heads, Size head_size, double dropout, std::unique_ptr<FeedForward> feed_forward);

    // memory (B,M,C), not normalised, or undefined. The result's y has the shape of x.
    FeedForwardResult forward(engine::Tape& tape, const Var& x_BTC, const Tensor& memory_BMC, const RowContext& context) const;
    FeedForwardResult decode(engine::Tape& tape, const Var& x_BtC, KeyValueCache& cache, Size limit, const RowContext& context) const;

    const FeedForward& feed_forward() const { return *feed_forward_; }

  private:
    FeedForwardResult finish(engine::Tape& tape, Var x_BTC, const Var& attended_BTC, const RowContext& context) const;

    int layer_;
    float dropout_;
    LayerNorm norm1_, norm2_;
    XlAttention attention_;
    std::unique_ptr<FeedForward> feed_forward_;
};

}  // namespace nn
