#include "moe/experts_layer.h"

#include "engine/base/error.h"
#include "moe/balances/make.h"
#include "moe/gates.h"
#include "moe/layer_options.h"
#include "moe/ops/experts.h"
#include "moe/ops/gates.h"
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
    selector_ = make_selector(method, options, at);
    balance_ = make_balance(method, options, experts_);
    add(*selector_, selector_->scope());
    add(w1_, "experts.w1", {experts_, channels_, cells_}, at.initials.w1);
    add(w2_, "experts.w2", {experts_, cells_, channels_}, at.initials.w2);
    if (glu_) add(w3_, "experts.w3", {experts_, channels_, cells_}, at.initials.w1);
}

nn::FeedForwardResult ExpertsLayer::forward(Tape& tape, const Var& x_NC, const nn::RowContext& context) {
    nn::FeedForwardResult result;
    Selection selection = selector_->select(tape, x_NC, w1_.var, context);
    Var gates_NK = ops::gates(tape, selection.logits_NE, selection.picks, gate_, sum_dtype(x_NC.dtype()));
    if (balance_) balance_->add_to(result.losses, tape, selection, gates_NK, context);
    result.y_NC = ops::experts(tape, x_NC, selection.picks, gates_NK, w1_.var, w2_.var, glu_ ? w3_.var : Var(), activation_,
                               hidden_dropout_, nn::random_site(layer_, nn::Purpose::hidden));
    result.routing = {selection.picks.ids_NK, gates_NK.value(), selection.logits_NE.defined() ? selection.logits_NE.value() : Tensor()};
    return result;
}

nn::FeedForward::Flops ExpertsLayer::flops_per_row() const {
    double cells = selector_->choices_per_row() * static_cast<double>(cells_ * channels_), selector = selector_->flops_per_row();
    return {.forward = selector + 2.0 * cells * (glu_ ? 3 : 2), .selector = selector};
}

Size ExpertsLayer::active_parameters() const {
    double cells = selector_->choices_per_row() * static_cast<double>(cells_ * channels_);
    return selector_->parameters() + static_cast<Size>(cells) * (glu_ ? 3 : 2);
}

}  // namespace moe
