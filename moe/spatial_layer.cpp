#include "moe/spatial_layer.h"

#include "engine/base/error.h"
#include "engine/ops/activation.h"
#include "engine/ops/linear.h"
#include "nn/init.h"

#include <algorithm>
#include <cmath>

namespace moe {

using namespace engine;

namespace {

constexpr Size kMostContext = 1'000'000;  // as data.context: a matrix of its square is far below 2⁶³ elements

double at(Size size) { return static_cast<double>(size); }

// ⌈share·context⌉, where a product that is whole but for its rounding counts as whole.
Size prefix_of(double share, Size context) {
    double exact = share * at(context), whole = std::round(exact);
    return static_cast<Size>(std::abs(exact - whole) < 1e-9 * at(context) ? whole : std::ceil(exact));
}

// The largest and smallest multiple of `unit` around `value`, for a hint.
std::string nearest_multiples(Size value, Size unit) {
    Size below = value / unit * unit;
    return below > 0 ? fmt::format("{} or {}", below, below + unit) : fmt::format("{}", unit);
}

}  // namespace

// Values before training as in the two published programs of gMLP: matrices and their biases uniform by their inputs; the spatial matrix
// near zero and its bias 1, so that the unit begins as u.
SpatialLayer::SpatialLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place)
    : channels_(place.channels),
      hidden_(options.size("hidden")),
      context_(options.size("context", {}, 1, kMostContext)),
      has_experts_(method.memory == Memory::position_experts) {
    unit_.causal = options.flag("causal", true);
    unit_.tanh = options.flag("tanh", false);
    bool routed = false;
    if (has_experts_) {
        unit_.experts = options.size("n_experts");
        routed = options.word("routing", "deterministic", {"deterministic", "partial-prediction"}) == "partial-prediction";
        double partial = options.number("partial", 0.2);
        expect(partial > 0 && partial < 1, options.where(), "partial must lie between 0 and 1, both excluded: got {}; hint: 0.2", partial);
        if (routed) unit_.prefix = prefix_of(partial, context_);
    }
    Size E = unit_.experts, unit = 2 * E, F = hidden_, C = channels_, T = context_;
    expect(F % unit == 0, options.where(), "hidden must be a multiple of {}: got {}; hint: {}",
           has_experts_ ? fmt::format("2·n_experts = {}", unit) : "2", F, nearest_multiples(F, unit));
    Size W = F / unit;
    auto shape = [&](std::initializer_list<Size> each) {
        Shape result;
        if (has_experts_) result.append(E);
        for (Size size : each) result.append(size);
        return result;
    };
    add(in_, "in.w", {C, F}, nn::uniform(1 / std::sqrt(at(C))));
    add(in_bias_, "in.b", {F}, nn::uniform(1 / std::sqrt(at(C))));
    add(norm_weight_, "norm.weight", shape({W}), nn::constant(1));
    add(norm_bias_, "norm.bias", shape({W}), nn::constant(0));
    add(spatial_, "spatial.w", shape({T, T}), nn::uniform(1e-3 / at(T)));
    add(spatial_bias_, "spatial.b", shape({T}), nn::constant(1));
    if (routed) add(route_, "route.w", {F / E, E}, nn::uniform(1 / std::sqrt(at(F / E))));
    add(out_, "out.w", {F / 2, C}, nn::uniform(1 / std::sqrt(at(F / 2))));
    add(out_bias_, "out.b", {C}, nn::uniform(1 / std::sqrt(at(F / 2))));
    for (nn::Parameter* vector : {&norm_weight_, &norm_bias_, &spatial_bias_}) vector->decays = false;
}

ops::SpatialParameters SpatialLayer::parameters() const {
    return {norm_weight_.var, norm_bias_.var, spatial_.var, spatial_bias_.var, route_.var};
}

Var SpatialLayer::inner(Tape& tape, const Var& x_NC) const {
    return engine::ops::activation(tape, engine::ops::linear(tape, x_NC, in_.var, in_bias_.var), engine::ops::Activation::gelu);
}

nn::FeedForwardResult SpatialLayer::outer(Tape& tape, const ops::SpatialResult& gated) const {
    nn::FeedForwardResult result{.y_NC = engine::ops::linear(tape, gated.h_NH, out_.var, out_bias_.var)};
    result.routing.ids = gated.routing.ids_BE;
    result.routing.gates = gated.routing.gates_BE;
    result.routing.cells = unit_.experts;
    return result;
}

nn::FeedForwardResult SpatialLayer::forward(Tape& tape, const Var& x_NC, const nn::RowContext& context) {
    return outer(tape, ops::spatial_gating(tape, inner(tape, x_NC), context.sequence_length, parameters(), unit_));
}

nn::FeedForwardResult SpatialLayer::decode(Tape& tape, const Var& x_BtC, nn::MixerCache& cache) {
    Size t = x_BtC.size(1);
    expect(
        cache.rows.defined() || t >= unit_.prefix, "smlp",
        "a prompt must hold the positions that choose the experts, ⌈partial·context⌉: got {} tokens, expected at least {}; hint: a prompt "
        "of {} tokens",
        t, unit_.prefix, unit_.prefix);
    ops::SpatialCache seen{cache.rows, {cache.ids, cache.gates}};
    ops::SpatialResult gated = ops::spatial_gating_step(tape, inner(tape, x_BtC), t, parameters(), unit_, seen);
    cache = {seen.rows_BSH, seen.routing.ids_BE, seen.routing.gates_BE};
    return outer(tape, gated);
}

// Visible pairs only: row t meets t + 1 keys. The choice is once a sequence.
nn::FeedForward::Flops SpatialLayer::flops_per_row_at(Size T) const {
    double halves = at(hidden_) / 2, visible = unit_.causal ? 0.5 * at(T + 1) : at(T);
    double selector = route_.shape.dims() > 0 ? 2 * at(hidden_) * at(unit_.experts) / at(T) : 0;
    return {.forward = 2 * at(channels_) * (at(hidden_) + halves) + 2 * halves * visible + selector, .selector = selector};
}

Size SpatialLayer::active_parameters() const {
    Size E = unit_.experts, T = context_, F = hidden_, visible = unit_.causal ? T * (T + 1) / 2 : T * T;
    Size route = route_.shape.dims() > 0 ? F : 0;
    return channels_ * F + F + F + E * (visible + T) + route + F / 2 * channels_ + channels_;
}

}  // namespace moe
