#include "moe/low_rank_layer.h"

#include "engine/base/error.h"
#include "engine/base/visit.h"
#include "engine/kernels/elementwise.h"
#include "engine/ops/dropout.h"
#include "engine/ops/linear.h"
#include "moe/layer_options.h"
#include "moe/ops/product_keys.h"
#include "moe/ops/weighted_rows.h"
#include "nn/init.h"
#include "nn/random_sites.h"

#include <cmath>

namespace moe {

using namespace engine;

LowRankLayer::LowRankLayer(const nn::OptionTable& options, const nn::LayerPlace& place)
    : channels_(place.channels),
      cells_(options.size("cells", {}, 1, Size{1} << 30)),
      rank_(options.size("rank", {}, 1, Size{1} << 20)),
      k_(options.size("k")),
      layer_(place.layer),
      activation_(read_activation(options)),
      hidden_dropout_(read_dropout(options, "hidden_dropout")) {
    read_init(options);
    expect(k_ <= cells_, options.where(), "k must be between 1 and cells: got k = {}, cells = {}; hint: set {}.k", k_, cells_,
           options.where());
    // Liu 2023 does not say. Here down·up begins with the deviation of a dense layer's keys, √(2/(L·C)), and values as its second matrix.
    auto over_root = [](double of, Size fan_in) { return std::sqrt(of / static_cast<double>(fan_in)); };
    double of_layers = 2.0 / place.depth;
    add(down_, "keys.down", {channels_, rank_}, nn::normal(over_root(1, channels_)), "keys");
    add(up_, "keys.up", {rank_, cells_}, nn::normal(over_root(of_layers, rank_)), "keys");
    add(values_, "values", {cells_, channels_}, nn::normal(over_root(of_layers, cells_)), "values");
    values_.is_table = true;
}

nn::FeedForwardResult LowRankLayer::forward(Tape& tape, const Var& x_NC, const nn::RowContext&) {
    Exec& exec = tape.exec();
    ops::KeyChoice choice = ops::low_rank_keys(tape, engine::ops::linear(tape, x_NC, down_.var), up_.var, k_);
    ops::ChosenRows rows = ops::chosen_rows(exec, choice.ids_NJ, cells_, tape.records({x_NC, values_.var}));
    Var hidden = engine::ops::activation(tape, choice.scores_NJ, activation_);
    hidden = engine::ops::dropout(tape, hidden, hidden_dropout_, nn::random_site(layer_, nn::Purpose::hidden));
    nn::FeedForwardResult result;
    result.y_NC = ops::row_combine(tape, hidden, values_.var, rows, x_NC.shape());
    Tensor gates(exec, choice.ids_NJ.shape(), choice.scores_NJ.dtype());
    visit(exec, gates.dtype(), [&]<class D, class T>(On<D, T>) { engine::kernels::fill<D, T>(exec, gates.rows<T>(), Sum<T>(1)); });
    result.routing = {choice.ids_NJ, gates, {}, cells_};
    return result;
}

nn::FeedForward::Flops LowRankLayer::flops_per_row() const {
    double selector = 2.0 * static_cast<double>(rank_) * static_cast<double>(channels_ + cells_);
    return {.forward = selector + 2.0 * static_cast<double>(k_ * channels_), .selector = selector};
}

Size LowRankLayer::active_parameters() const { return rank_ * (channels_ + cells_) + k_ * channels_; }

}  // namespace moe
