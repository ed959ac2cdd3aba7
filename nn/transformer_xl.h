#pragma once
#include "nn/language_model.h"
#include "nn/layer_norm.h"
#include "nn/xl_attention.h"

#include <functional>
#include <memory>
#include <vector>

namespace nn {

struct TransformerXlOptions {
    Size vocab = 0, channels = 0, layers = 0, heads = 0, head_size = 0;
    float dropout = 0;
    bool tied = false;  // the head is the embedding; then it has no bias either
};

// Makes the feed-forward of one block.
using FeedForwardMaker = std::function<std::unique_ptr<FeedForward>(const LayerPlace& place)>;

// The Transformer-XL of the σ-MoE paper: pre-norm blocks, memory of earlier inputs without gradient, learned attention scale
// (Dai et al. 2019; sigma-moe.md 2.2, 3.1, 6).
class TransformerXl final : public LanguageModel {
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

    Var embed(engine::Tape& tape, const Tensor& ids) const;
    Var add_feed_forward(engine::Tape& tape, const Var& x_BTC, const Block& block, int layer, const RowContext& context,
                         ModelResult& result) const;
    Var logits(engine::Tape& tape, const Var& x_BTC) const;

    TransformerXlOptions options_;
    Parameter embedding_, head_, head_bias_;
    std::vector<std::unique_ptr<Block>> blocks_;
    LayerNorm norm_;
    PositionTable positions_;
};

}  // namespace nn
