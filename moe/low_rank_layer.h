#pragma once
#include "engine/ops/activation.h"
#include "moe/methods/table.h"

namespace moe {

// M cells with keys of rank R (LoRKM): y = Σ_{m ∈ top-k} act(s_m)·values[m],  s = (x·keys.down)·keys.up.
class LowRankLayer final : public nn::FeedForward {
  public:
    LowRankLayer(const nn::OptionTable& options, const nn::LayerPlace& place);
    nn::FeedForwardResult forward(engine::Tape& tape, const engine::Var& x_NC, const nn::RowContext& context) override;
    Flops flops_per_row() const override;
    engine::Size active_parameters() const override;

  private:
    engine::Size channels_, cells_, rank_, k_;
    int layer_;
    engine::ops::Activation activation_;
    float hidden_dropout_;
    nn::Parameter down_, up_, values_;
};

}  // namespace moe
