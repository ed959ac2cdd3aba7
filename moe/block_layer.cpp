#include "moe/block_layer.h"

#include "engine/base/error.h"
#include "engine/base/visit.h"
#include "engine/kernels/elementwise.h"
#include "engine/ops/dropout.h"
#include "engine/ops/linear.h"
#include "moe/layer_options.h"
#include "moe/ops/keep_top.h"
#include "nn/init.h"
#include "nn/random_sites.h"

#include <cmath>

namespace moe {

using namespace engine;

BlockLayer::BlockLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place)
    : channels_(place.channels),
      hidden_(options.size("hidden")),
      layer_(place.layer),
      activation_(read_activation(options)),
      glu_(options.flag("glu", false)),
      bias_(options.flag("bias", false)),
      hidden_dropout_(read_dropout(options, "hidden_dropout")) {
    read_init(options);
    if (method.selector == Selector::top_cells) {
        k_ = options.size("k");
        expect(k_ <= hidden_, "ffn", "k must be between 1 and hidden: got k = {}, hidden = {}; hint: set ffn.k", k_, hidden_);
    }
    auto deviation = [&](Size fan_in) { return std::sqrt(2.0 / (static_cast<double>(place.depth) * static_cast<double>(fan_in))); };
    add(w1_, "w1", {channels_, hidden_}, nn::truncated_normal(deviation(channels_)));
    add(w2_, "w2", {hidden_, channels_}, nn::truncated_normal(deviation(hidden_)));
    if (glu_) add(w3_, "w3", {channels_, hidden_}, nn::truncated_normal(deviation(channels_)));
    if (bias_) {
        add(b1_, "b1", {hidden_}, nn::constant(0));
        add(b2_, "b2", {channels_}, nn::constant(0));
    }
}

nn::FeedForwardResult BlockLayer::forward(Tape& tape, const Var& x_NC, const nn::RowContext&) {
    Var pre_NF = engine::ops::linear(tape, x_NC, w1_.var, bias_ ? b1_.var : Var());
    Var hidden_NF = engine::ops::activation(tape, pre_NF, activation_, glu_ ? engine::ops::linear(tape, x_NC, w3_.var) : Var());
    hidden_NF = engine::ops::dropout(tape, hidden_NF, hidden_dropout_, nn::random_site(layer_, nn::Purpose::hidden));
    nn::FeedForwardResult result;
    if (k_ > 0) {
        ops::KeptTop kept = ops::keep_top(tape, hidden_NF, k_);
        hidden_NF = kept.y_NF;
        result.routing.ids = kept.ids_NK;
        Tensor& gates = result.routing.gates;
        gates = Tensor(tape.exec(), kept.ids_NK.shape(), sum_dtype(x_NC.dtype()));
        visit(tape.exec(), gates.dtype(),
              [&]<class D, class T>(On<D, T>) { engine::kernels::fill<D, T>(tape.exec(), gates.rows<T>(), Sum<T>(1)); });
    }
    result.y_NC = engine::ops::linear(tape, hidden_NF, w2_.var, bias_ ? b2_.var : Var());
    return result;
}

nn::FeedForward::Flops BlockLayer::flops_per_row() const {
    double cells = static_cast<double>(channels_ * hidden_), kept = k_ > 0 ? static_cast<double>(channels_ * k_) : cells;
    return {.forward = 2 * cells * (glu_ ? 2 : 1) + 2 * kept, .selector = 0};
}

Size BlockLayer::active_parameters() const {
    return channels_ * hidden_ * (glu_ ? 2 : 1) + channels_ * (k_ > 0 ? k_ : hidden_) + (bias_ ? hidden_ + channels_ : 0);
}

}  // namespace moe
