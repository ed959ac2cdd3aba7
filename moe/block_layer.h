#pragma once
#include "engine/ops/activation.h"
#include "moe/methods/table.h"

namespace moe {

// One block of F cells: act(x·w1 + b1)[∘(x·w3)]·w2 + b2, all cells or the k largest of a row.
class BlockLayer final : public nn::FeedForward {
  public:
    BlockLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place);
    nn::FeedForwardResult forward(engine::Tape& tape, const engine::Var& x_NC, const nn::RowContext& context) override;
    Flops flops_per_row() const override;
    engine::Size active_parameters() const override;

  private:
    engine::Size channels_, hidden_, k_ = 0;
    int layer_;
    engine::ops::Activation activation_;
    bool glu_, bias_;
    float hidden_dropout_;
    nn::Parameter w1_, w2_, w3_, b1_, b2_;
};

}  // namespace moe
