#pragma once
#include "nn/block_model.h"
#include "nn/xl_attention.h"

#include <vector>

namespace nn {

struct TransformerXlOptions {
    Size vocab = 0, channels = 0, layers = 0, heads = 0, head_size = 0;
    float dropout = 0;
    bool tied = false;  // the head is the embedding; then it has no bias either
};

// The Transformer-XL of the σ-MoE paper: pre-norm blocks, memory of earlier inputs without gradient, learned attention scale
// (Dai et al. 2019; sigma-moe.md 2.2, 3.1, 6).
class TransformerXl final : public BlockModel {
  public:
    TransformerXl(const TransformerXlOptions& options, const FeedForwardMaker& make_feed_forward);

    ModelResult forward(engine::Tape& tape, const Tensor& ids_BT, ModelMemory& memory, double loss_scale) override;
    ModelResult decode(engine::Tape& tape, const Tensor& ids_Bt, DecodeCache& cache) override;
    std::string refuses_decoding() const override;
    FeedForward::Flops flops_per_token(Size T, Size M) const override;
    Size active_parameters() const override;

  private:
    // x += drop(attention(norm1(x))), then x += drop(feed_forward(norm2(x))).
    struct Block final : public Module {
        Block(const LayerPlace& place, const TransformerXlOptions& options, const FeedForwardMaker& make_feed_forward);
        LayerNorm norm1, norm2;
        XlAttention attention;
        std::unique_ptr<FeedForward> feed_forward;
    };

    Size heads_, head_size_;
    std::vector<std::unique_ptr<Block>> blocks_;
    PositionTable positions_;
};

}  // namespace nn
