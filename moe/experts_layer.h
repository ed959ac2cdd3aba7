#pragma once
#include "engine/ops/activation.h"
#include "moe/balances/balance.h"
#include "moe/kernels/gates.h"
#include "moe/methods/table.h"

namespace moe {

// E experts of G cells, some of them a row: y = Σ_{e∈S} α_e·(act(x·w1_e)[∘(x·w3_e)])·w2_e, with S, α and what balances S as parts.
// Methods that have them add a shared block of cells for every row, or (1 − α)·x.
class ExpertsLayer final : public nn::FeedForward {
  public:
    ExpertsLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place);
    nn::FeedForwardResult forward(engine::Tape& tape, const engine::Var& x_NC, const nn::RowContext& context) override;
    bool mixes_positions() const override { return selector_->mixes_positions(); }
    bool reads_token_ids() const override { return selector_->reads_token_ids(); }
    std::string refuses_decoding() const override { return selector_->refuses_decoding(); }
    Flops flops_per_row() const override;
    engine::Size active_parameters() const override;

  private:
    // Whether this pass's experts are single rows that every choice reads: then they need no sorting into products.
    bool is_rows(const Selection& selection) const;
    engine::Var cell_rows(engine::Tape& tape, const engine::Var& x_NC, const ops::Picks& picks, const engine::Var& gates_NK) const;
    engine::Var shared_block(engine::Tape& tape, const engine::Var& x_NC, const engine::Var& y_NC) const;
    // Cells that a row uses, and weights of all of them.
    double cells_per_row() const;

    engine::Size channels_, experts_, cells_, shared_cells_ = 0;
    engine::ops::Activation activation_;
    bool glu_, mixes_input_ = false;
    int layer_;
    float hidden_dropout_;
    kernels::GateRule gate_;
    std::unique_ptr<ExpertSelector> selector_;
    std::unique_ptr<BalanceLoss> balance_;
    nn::Parameter w1_, w2_, w3_, shared_w1_, shared_w2_, shared_w3_;
};

}  // namespace moe
