#pragma once
#include "engine/ops/activation.h"
#include "moe/kernels/key_gates.h"
#include "moe/kernels/product_keys.h"
#include "moe/key_query.h"
#include "moe/methods/table.h"
#include "moe/ops/weighted_rows.h"

#include <optional>

namespace moe {

// Cells chosen by product keys:  y = Σ_h Σ_k α·f·values[slot],  f = 1, or act(x·keys[slot])[∘(x·gate_keys[slot])] where the cells have
// keys of their own. Selector: whose query and whose sub-keys; memory: which f, and what becomes of y.
class ProductKeysLayer final : public nn::FeedForward {
  public:
    ProductKeysLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place);
    nn::FeedForwardResult forward(engine::Tape& tape, const engine::Var& x_NC, const nn::RowContext& context) override;
    Flops flops_per_row() const override;
    engine::Size active_parameters() const override;

    // The table that other layers of a model may share (LayerPlace::values).
    nn::Parameter& values() { return values_; }

  private:
    void read_selector(const Method& method, const nn::OptionTable& options);
    void read_memory(const Method& method, const nn::OptionTable& options);
    void add_parameters(const Method& method, const nn::LayerPlace& place, bool paper);
    // The weights α·f of the chosen rows; α itself goes into `gates`.
    engine::Var cell_weights(engine::Tape& tape, const engine::Var& x_NC, const engine::Var& scores_NJ, const ops::ChosenRows& rows,
                             engine::Tensor& gates);

    engine::Size channels_;
    int layer_;
    Memory memory_;
    kernels::ProductKeys keys_{};
    kernels::KeyGate gate_ = kernels::KeyGate::softmax;
    bool over_all_heads_ = false;  // the softmax
    bool all_cells_ = false;       // pkm-relu as released
    bool multiplies_gate_ = true;
    bool has_keys_ = false, glu_ = false;
    engine::ops::Activation activation_ = engine::ops::Activation::identity;
    float hidden_dropout_;
    std::optional<KeyQuery> query_;
    nn::Parameter subkeys_, cell_keys_, gate_keys_, values_, swilu_, out_;
};

}  // namespace moe
