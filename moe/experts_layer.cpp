#include "moe/experts_layer.h"

#include "engine/base/error.h"
#include "engine/ops/linear.h"
#include "moe/layer_options.h"
#include "moe/ops/choose.h"
#include "moe/ops/entropy.h"
#include "moe/ops/experts.h"
#include "nn/init.h"
#include "nn/random_sites.h"

#include <cmath>

namespace moe {

using namespace engine;

ExpertsLayer::ExpertsLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place)
    : gate_(method.gate),
      balance_(method.balance),
      channels_(place.channels),
      experts_(options.size("n_experts")),
      cells_(options.size("expert_size")),
      k_(options.size("k")),
      layer_(place.layer),
      activation_(read_activation(options)),
      glu_(options.flag("glu", false)),
      hidden_dropout_(read_dropout(options, "hidden_dropout")) {
    expect(k_ <= experts_, "ffn", "k must be between 1 and n_experts: got k = {}, n_experts = {}; hint: set ffn.k", k_, experts_);
    bool paper = read_init(options);
    if (balance_ == Balance::entropy) entropy_weight_ = options.number("entropy_weight", 0.0);
    if (method.drops_experts) expert_dropout_ = read_dropout(options, "expert_dropout");
    // sigma-moe.md 2.1: keys from d_model, values from d_ff = G·E (the ablation: from G), router rows of equal norm.
    auto deviation = [&](Size fan_in) { return std::sqrt(2.0 / (static_cast<double>(place.depth) * static_cast<double>(fan_in))); };
    add(router_, "router.w", {channels_, experts_}, nn::equal_norm_columns(deviation(channels_)));
    add(w1_, "experts.w1", {experts_, channels_, cells_}, nn::normal(deviation(channels_)));
    add(w2_, "experts.w2", {experts_, cells_, channels_}, nn::normal(deviation(paper ? cells_ * experts_ : cells_)));
    if (glu_) add(w3_, "experts.w3", {experts_, channels_, cells_}, nn::normal(deviation(channels_)));
}

nn::FeedForwardResult ExpertsLayer::forward(Tape& tape, const Var& x_NC, const nn::RowContext& context) {
    nn::FeedForwardResult result;
    Var logits_NE = engine::ops::linear_wide(tape, x_NC, router_.var);
    ops::Choice choice = ops::choose(tape, logits_NE, k_, gate_, expert_dropout_, nn::random_site(layer_, nn::Purpose::expert_choice));
    if (balance_ == Balance::entropy) {
        result.losses.push_back({"entropy", ops::entropy_loss(tape, logits_NE, entropy_weight_ * context.loss_scale), entropy_weight_});
    }
    result.y_NC = ops::experts(tape, x_NC, choice, w1_.var, w2_.var, glu_ ? w3_.var : Var(), activation_, hidden_dropout_,
                               nn::random_site(layer_, nn::Purpose::hidden));
    result.routing = {choice.ids_NK, choice.gates_NK.value(), logits_NE.value()};
    return result;
}

nn::FeedForward::Flops ExpertsLayer::flops_per_row() const {
    double selector = 2.0 * static_cast<double>(channels_ * experts_);
    return {.forward = selector + 2.0 * static_cast<double>(k_ * cells_ * channels_) * (glu_ ? 3 : 2), .selector = selector};
}

Size ExpertsLayer::active_parameters() const { return channels_ * experts_ + k_ * cells_ * channels_ * (glu_ ? 3 : 2); }

}  // namespace moe
