#pragma once
#include "engine/ops/activation.h"
#include "moe/methods/table.h"

namespace moe {

// E experts of G cells, K of them a row: y = Σ α_e·(act(x·w1_e)[∘(x·w3_e)])·w2_e, chosen by a linear router.
class ExpertsLayer final : public nn::FeedForward {
  public:
    ExpertsLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place);
    nn::FeedForwardResult forward(engine::Tape& tape, const engine::Var& x_NC, const nn::RowContext& context) override;
    Flops flops_per_row() const override;
    engine::Size active_parameters() const override;

  private:
    Gate gate_;
    Balance balance_;
    engine::Size channels_, experts_, cells_, k_;
    int layer_;
    engine::ops::Activation activation_;
    bool glu_;
    double entropy_weight_ = 0;
    float expert_dropout_ = 0, hidden_dropout_;
    nn::Parameter router_, w1_, w2_, w3_;
};

}  // namespace moe
