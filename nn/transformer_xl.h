#pragma once
#include "nn/language_model.h"
#include "nn/transformer_block.h"

#include <functional>

namespace nn {

struct TransformerXlShape {
    Size vocab = 0, channels = 0, layers = 0, heads = 0, head_size = 0;
    double dropout = 0;
};

// The Transformer-XL of the σ-MoE paper (sigma-moe.md 2.1, 2.2, 6): pre-norm, relative positions, embeddings not tied, any feed-forward.
class TransformerXl final : public LanguageModel {
  public:
    using FeedForwardFactory = std::function<std::unique_ptr<FeedForward>(const LayerPlace&)>;
    TransformerXl(const TransformerXlShape& shape, const FeedForwardFactory& make_feed_forward);

    ModelResult forward(engine::Tape& tape, const Tensor& ids_BT, ModelMemory& memory, double loss_scale) override;
    ModelResult decode(engine::Tape& tape, const Tensor& ids_Bt, DecodeCache& cache) override;
    FeedForward::Flops flops_per_token(Size T, Size M) const override;
    Size active_parameters() const override;

  private:
    Var embed(engine::Tape& tape, const Tensor& ids) const;
    Var project(engine::Tape& tape, const Var& x) const;

    TransformerXlShape shape_;
    Parameter embedding_, head_, head_bias_;
    std::vector<std::unique_ptr<TransformerBlock>> blocks_;
    LayerNorm norm_;
};

}  // namespace nn
