#include "moe/experts_layer.h"

#include "engine/ops/add.h"
#include "engine/ops/linear.h"
#include "moe/balances/make.h"
#include "moe/gates.h"
#include "moe/layer_options.h"
#include "moe/ops/experts.h"
#include "moe/ops/gates.h"
#include "moe/ops/residual_mix.h"
#include "moe/ops/weighted_rows.h"
#include "moe/selectors/make.h"
#include "nn/random_sites.h"

namespace moe {

using namespace engine;

ExpertsLayer::ExpertsLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place)
    : channels_(place.channels),
      experts_(options.size("n_experts")),
      cells_(options.size("expert_size")),
      activation_(read_activation(options)),
      glu_(options.flag("glu", false)),
      layer_(place.layer),
      hidden_dropout_(read_dropout(options, "hidden_dropout")),
      gate_(read_gate(method.gate, options)) {
    ExpertsPlace at{place, experts_, cells_, expert_initials(method.start, read_init(options), place, experts_, cells_)};
    selector_ = make_selector(method, options, at, gate_.gate != kernels::Gate::one);
    balance_ = make_balance(method, options, experts_);
    if (method.extras.shared_block) shared_cells_ = options.size("n_shared", 0, 0) * cells_;
    if (method.extras.residual_mix) mixes_input_ = options.flag("residual_mix", false);
    add(*selector_, selector_->scope());
    add(w1_, "experts.w1", {experts_, channels_, cells_}, at.initials.w1);
    add(w2_, "experts.w2", {experts_, cells_, channels_}, at.initials.w2);
    if (glu_) add(w3_, "experts.w3", {experts_, channels_, cells_}, at.initials.w1);
    if (cells_ > 1) w1_.split = w2_.split = w3_.split = nn::Split::by_expert;
    if (shared_cells_ == 0) return;
    add(shared_w1_, "shared.w1", {channels_, shared_cells_}, at.initials.w1);
    add(shared_w2_, "shared.w2", {shared_cells_, channels_}, at.initials.w2);
    if (glu_) add(shared_w3_, "shared.w3", {channels_, shared_cells_}, at.initials.w1);
}

nn::FeedForwardResult ExpertsLayer::forward(Tape& tape, const Var& x_NC, const nn::RowContext& context) {
    nn::FeedForwardResult result;
    Selection selection = selector_->select(tape, x_NC, w1_.var, context);
    Var gates_NK = selection.gates_NK;
    if (!gates_NK.defined()) gates_NK = ops::gates(tape, selection.logits_NE, selection.picks, gate_, sum_dtype(x_NC.dtype()));
    if (balance_) balance_->add_to(result.losses, tape, selection, gates_NK, context);
    if (is_rows(selection)) {
        result.y_NC = cell_rows(tape, x_NC, selection.picks, gates_NK);
    } else {
        result.y_NC = ops::experts(tape, x_NC, selection.picks, gates_NK, w1_.var, w2_.var, glu_ ? w3_.var : Var(), activation_,
                                   hidden_dropout_, nn::random_site(layer_, nn::Purpose::hidden), selection.w1_share);
    }
    if (mixes_input_) result.y_NC = ops::residual_mix(tape, result.y_NC, x_NC, gates_NK);
    if (shared_cells_ > 0) result.y_NC = shared_block(tape, x_NC, result.y_NC);
    result.routing = {
        selection.picks.ids_NK, gates_NK.value(),  selection.logits_NE.defined() ? selection.logits_NE.value() : Tensor(), experts_,
        selection.rows_ES,      selection.gates_ES};
    return result;
}

bool ExpertsLayer::is_rows(const Selection& selection) const {
    const ops::Picks& picks = selection.picks;
    bool all_kept = picks.kept_NK.address() == picks.ids_NK.address() && picks.most_rows == picks.ids_NK.shape().elements();
    return cells_ == 1 && all_kept && !selection.w1_share && hidden_dropout_ == 0;
}

Var ExpertsLayer::cell_rows(Tape& tape, const Var& x_NC, const ops::Picks& picks, const Var& gates_NK) const {
    ops::ChosenRows rows = ops::chosen_rows(tape.exec(), picks.ids_NK, experts_, tape.records({x_NC, w1_.var}));
    Var linear_NK = glu_ ? ops::row_dots(tape, x_NC, w3_.var, rows) : Var();
    Var hidden_NK = engine::ops::activation(tape, ops::row_dots(tape, x_NC, w1_.var, rows), activation_, linear_NK);
    Var weights_NK = engine::ops::activation(tape, hidden_NK, engine::ops::Activation::identity, gates_NK);
    return ops::row_combine(tape, weights_NK, w2_.var, rows, x_NC.shape());
}

Var ExpertsLayer::shared_block(Tape& tape, const Var& x_NC, const Var& y_NC) const {
    Var pre_NF = engine::ops::linear(tape, x_NC, shared_w1_.var);
    Var hidden_NF = engine::ops::activation(tape, pre_NF, activation_, glu_ ? engine::ops::linear(tape, x_NC, shared_w3_.var) : Var());
    return engine::ops::add(tape, y_NC, engine::ops::linear(tape, hidden_NF, shared_w2_.var));
}

double ExpertsLayer::cells_per_row() const {
    return selector_->choices_per_row() * static_cast<double>(cells_) + static_cast<double>(shared_cells_);
}

nn::FeedForward::Flops ExpertsLayer::flops_per_row() const {
    double selector = selector_->flops_per_row();
    return {.forward = selector + 2.0 * cells_per_row() * static_cast<double>(channels_) * (glu_ ? 3 : 2), .selector = selector};
}

Size ExpertsLayer::active_parameters() const {
    return selector_->parameters() + static_cast<Size>(cells_per_row() * static_cast<double>(channels_)) * (glu_ ? 3 : 2);
}

}  // namespace moe
