#pragma once
#include "engine/ops/activation.h"
#include "moe/balances/balance.h"
#include "moe/kernels/gates.h"
#include "moe/methods/table.h"

namespace moe {

// E experts of G cells, some of them a row: y = Σ_{e∈S} α_e·(act(x·w1_e)[∘(x·w3_e)])·w2_e, with S, α and what balances S as parts.
class ExpertsLayer final : public nn::FeedForward {
  public:
    ExpertsLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place);
    nn::FeedForwardResult forward(engine::Tape& tape, const engine::Var& x_NC, const nn::RowContext& context) override;
    bool mixes_positions() const override { return selector_->mixes_positions(); }
    bool reads_token_ids() const override { return selector_->reads_token_ids(); }
    Flops flops_per_row() const override;
    engine::Size active_parameters() const override;

  private:
    engine::Size channels_, experts_, cells_;
    engine::ops::Activation activation_;
    bool glu_;
    int layer_;
    float hidden_dropout_;
    kernels::GateRule gate_;
    std::unique_ptr<ExpertSelector> selector_;
    std::unique_ptr<BalanceLoss> balance_;
    nn::Parameter w1_, w2_, w3_;
};

}  // namespace moe
