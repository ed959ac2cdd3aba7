#include "moe/product_keys_layer.h"

#include "engine/base/error.h"
#include "engine/base/visit.h"
#include "engine/kernels/elementwise.h"
#include "engine/ops/dropout.h"
#include "engine/ops/linear.h"
#include "moe/layer_options.h"
#include "moe/ops/all_cells.h"
#include "moe/ops/key_gates.h"
#include "moe/ops/product_keys.h"
#include "moe/ops/weighted_rows.h"
#include "nn/init.h"
#include "nn/random_sites.h"

#include <cmath>

namespace moe {

using namespace engine;

ProductKeysLayer::ProductKeysLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place)
    : channels_(place.channels), layer_(place.layer), memory_(method.memory), hidden_dropout_(read_dropout(options, "hidden_dropout")) {
    bool paper = read_init(options);
    constexpr Size kMostSubKeys = 46340;  // slots are int32
    keys_.heads = options.size("heads", {}, 1, 4096);
    keys_.sub_keys = options.size("sub_keys", {}, 1, kMostSubKeys);
    read_selector(method, options);
    read_memory(method, options);
    add_parameters(method, place, paper);
}

void ProductKeysLayer::read_selector(const Method& method, const nn::OptionTable& options) {
    keys_.shares_query = method.selector == Selector::product_keys_of_input;
    if (keys_.shares_query) all_cells_ = options.flag("released", false);
    Size cells = keys_.sub_keys * keys_.sub_keys;
    keys_.k = options.size("k", all_cells_ ? std::optional<Size>(1) : std::nullopt);
    expect(all_cells_ || keys_.k <= cells, options.where(),
           "k must be between 1 and the cells, sub_keys²: got k = {}, {} cells; hint: set {}.k", keys_.k, cells, options.where());
    if (keys_.shares_query) {
        expect(channels_ % 2 == 0, options.where(),
               "channels must be even, the input is cut into halves as the query: got {}; hint: the nearest is {}", channels_,
               channels_ + 1);
        keys_.half = channels_ / 2;
        gate_ = kernels::KeyGate::relu;
        return;
    }
    std::string gate = options.word("gate", "softmax", {"softmax", "sigmoid", "relu"});
    gate_ = gate == "softmax" ? kernels::KeyGate::softmax : gate == "sigmoid" ? kernels::KeyGate::sigmoid : kernels::KeyGate::relu;
    over_all_heads_ = options.word("softmax_scope", "head", {"head", "all"}) == "all";
    if (method.selector == Selector::shared_product_keys) keys_.shares_sub_keys = options.flag("share_subkeys", true);
    // Lample 2019's code: the framework's linear layer. Memory+: Xavier's (Glorot & Bengio 2010) for the weight.
    double bound = 1 / std::sqrt(static_cast<double>(channels_));
    Size columns = keys_.heads * options.size("query_size", {}, 1, Size{1} << 20);
    double xavier = std::sqrt(6 / static_cast<double>(channels_ + columns));
    query_.emplace(options, channels_, keys_.heads, nn::uniform(memory_ == Memory::gated_values ? xavier : bound), nn::uniform(bound));
    keys_.half = query_->size() / 2;
}

void ProductKeysLayer::read_memory(const Method&, const nn::OptionTable& options) {
    has_keys_ = memory_ == Memory::keyed_values || memory_ == Memory::one_cell_experts;
    if (!has_keys_) return;
    activation_ = read_activation(options, memory_ == Memory::one_cell_experts ? "gelu" : "relu");
    if (memory_ == Memory::one_cell_experts) glu_ = options.flag("glu", false);
    if (memory_ == Memory::keyed_values) multiplies_gate_ = options.flag("multiply_gate", true);
}

// PKM (Lample 2019's code): sub-keys uniform within ±1/√(D/2), values normal with deviation 1/√C. Memory+ (Berges 2024's code): sub-keys
// within ±1/√D. The σ-MoE paper's PKM: everything normal with √(2/(L·C)), and with `standard`, its "+ init", values with √(2/(L·M)), as
// the second matrix of a dense layer. He 2024 and Liu 2023 say nothing of PEER's and PKM-FFN's keys: 1/√C, so that x·key has the size of a
// normalised x; nor is Memory+'s gate and output described: 1/√C, too.
void ProductKeysLayer::add_parameters(const Method& method, const nn::LayerPlace& place, bool paper) {
    Size C = channels_, M = keys_.sub_keys * keys_.sub_keys;
    auto over_root = [](double of, Size fan_in) { return std::sqrt(of / static_cast<double>(fan_in)); };
    double of_layers = 2.0 / place.depth;
    nn::Initial rows = nn::normal(over_root(1, C)), values = rows, sub_keys = nn::uniform(over_root(1, keys_.half));
    if (memory_ == Memory::gated_values) sub_keys = nn::uniform(over_root(1, 2 * keys_.half));
    if (method.selector == Selector::product_keys_of_input) {
        sub_keys = nn::normal(over_root(of_layers, C));
        values = nn::normal(over_root(of_layers, paper ? C : M));
    }
    if (query_) {
        add(query_->projection(), "query");
        add(query_->norm(), "query_norm");
    }
    Shape shape = keys_.shares_sub_keys ? Shape{2, keys_.sub_keys, keys_.half} : Shape{keys_.heads, 2, keys_.sub_keys, keys_.half};
    add(subkeys_, "subkeys", shape, sub_keys, "subkeys");
    if (has_keys_) add(cell_keys_, "keys", {M, C}, rows, "keys");
    if (glu_) add(gate_keys_, "gate_keys", {M, C}, rows, "keys");
    if (memory_ == Memory::gated_values && place.values != nullptr) {
        expect(place.values->shape == Shape{M, C}, "ffn", "shared values do not fit: got {}, expected ({}, {})", place.values->shape.text(),
               M, C);
        add_use(values_, *place.values);
    } else {
        add(values_, "values", {M, C}, values, "values");
    }
    for (nn::Parameter* table : {&cell_keys_, &gate_keys_, &values_}) {
        table->is_table = true;
        if (!all_cells_) table->split = nn::Split::by_column;
    }
    if (memory_ == Memory::gated_values) {
        add(swilu_, "swilu.w", {C, C}, rows);
        add(out_, "out.w", {C, C}, rows);
    }
}

Var ProductKeysLayer::cell_weights(Tape& tape, const Var& x_NC, const Var& scores_NJ, const ops::ChosenRows& rows, Tensor& gates) {
    Var gate;
    if (multiplies_gate_) {
        gate = ops::key_gates(tape, scores_NJ, over_all_heads_ ? keys_.heads * keys_.k : keys_.k, gate_);
        gates = gate.value();
    } else {
        gates = packed_tensor(tape.exec(), scores_NJ.shape(), scores_NJ.dtype());
        visit(tape.exec(), gates.dtype(),
              [&]<class D, class T>(On<D, T>) { engine::kernels::fill<D, T>(tape.exec(), gates.rows<T>(), Sum<T>(1)); });
    }
    if (!has_keys_) return gate;
    Var hidden = ops::row_dots(tape, x_NC, cell_keys_.var, rows);
    if (!glu_) return engine::ops::activation(tape, hidden, activation_, gate);
    hidden = engine::ops::activation(tape, hidden, activation_, ops::row_dots(tape, x_NC, gate_keys_.var, rows));
    return engine::ops::activation(tape, hidden, engine::ops::Activation::identity, gate);
}

nn::FeedForwardResult ProductKeysLayer::forward(Tape& tape, const Var& x_NC, const nn::RowContext&) {
    nn::FeedForwardResult result;
    if (all_cells_) {
        result.y_NC = ops::all_cells(tape, x_NC, subkeys_.var, values_.var);
        return result;
    }
    Size N = x_NC.shape().rows(), M = keys_.sub_keys * keys_.sub_keys;
    ops::KeyChoice choice = ops::product_keys(tape, query_ ? query_->forward(tape, x_NC) : x_NC, subkeys_.var, keys_);
    ops::ChosenRows rows = ops::chosen_rows(tape.exec(), choice.ids_NJ, M, tape.records({x_NC, values_.var}), tape.exec().sharing.tables);
    Tensor gates;
    Var weights = cell_weights(tape, x_NC, choice.scores_NJ, rows, gates);
    weights = engine::ops::dropout(tape, weights, hidden_dropout_, nn::random_site(layer_, nn::Purpose::hidden));
    result.y_NC = ops::row_combine(tape, weights, values_.var, rows, x_NC.shape());
    if (memory_ == Memory::gated_values) {
        Var gate = engine::ops::linear(tape, x_NC, swilu_.var);
        Var gated = engine::ops::activation(tape, gate, engine::ops::Activation::silu, result.y_NC);
        result.y_NC = engine::ops::linear(tape, gated, out_.var);
    }
    Shape chosen{N, keys_.heads, keys_.k};
    result.routing = {choice.ids_NJ.reshaped(chosen), gates.reshaped(chosen), {}, M};
    return result;
}

nn::FeedForward::Flops ProductKeysLayer::flops_per_row() const {
    double C = static_cast<double>(channels_), H = static_cast<double>(keys_.heads), P = static_cast<double>(keys_.sub_keys),
           D = static_cast<double>(2 * keys_.half), cells = all_cells_ ? P * P : H * static_cast<double>(keys_.k);
    double selector = 2 * H * P * D + (query_ ? 2 * C * H * D : 0);
    double tables = 1 + (has_keys_ ? 1 : 0) + (glu_ ? 1 : 0);
    return {.forward = selector + 2 * cells * C * tables + (memory_ == Memory::gated_values ? 4 * C * C : 0), .selector = selector};
}

Size ProductKeysLayer::active_parameters() const {
    Size C = channels_, cells = all_cells_ ? keys_.sub_keys * keys_.sub_keys : keys_.heads * keys_.k;
    return keys_.sub_key_rows() * keys_.half + (query_ ? query_->parameters() : 0) +
           cells * C * (1 + (has_keys_ ? 1 : 0) + (glu_ ? 1 : 0)) + (memory_ == Memory::gated_values ? 2 * C * C : 0);
}

}  // namespace moe
