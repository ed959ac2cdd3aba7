#include "moe/key_query.h"

#include "engine/base/error.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/linear.h"
#include "moe/ops/batch_norm.h"
#include "nn/init.h"

namespace moe {

using namespace engine;

void KeyQuery::Projection::begin(Size channels, Size columns, nn::Initial weight, nn::Initial bias) {
    add(w, "w", {channels, columns}, std::move(weight), "query");
    add(b, "b", {columns}, std::move(bias), "query");
}

void KeyQuery::Norm::begin(Size columns) {
    if (kind == NormKind::none) return;
    add(weight, "weight", {columns}, nn::constant(1), "query");
    add(bias, "bias", {columns}, nn::constant(0), "query");
    if (kind != NormKind::batch) return;
    add(mean, "mean", {columns}, Dtype::f32, nn::constant(0));
    add(variance, "var", {columns}, Dtype::f32, nn::constant(1));
}

KeyQuery::KeyQuery(const nn::OptionTable& options, Size channels, Size heads, nn::Initial weight, nn::Initial bias)
    : channels_(channels), size_(options.size("query_size", {}, 1, Size{1} << 20)) {
    expect(size_ % 2 == 0, options.where(), "query_size must be even, it is cut into halves: got {}; hint: the nearest is {}", size_,
           size_ + 1);
    columns_ = heads * size_;
    std::string kind = options.word("query_norm", "none", {"none", "batch", "layer"});
    norm_.kind = kind == "batch" ? NormKind::batch : kind == "layer" ? NormKind::layer : NormKind::none;
    projection_.begin(channels, columns_, std::move(weight), std::move(bias));
    norm_.begin(columns_);
}

Var KeyQuery::forward(Tape& tape, const Var& x_NC) {
    Var q = engine::ops::linear(tape, x_NC, projection_.w.var, projection_.b.var);
    if (norm_.kind == NormKind::batch) return ops::batch_norm(tape, q, norm_.weight.var, norm_.bias.var, norm_.mean, norm_.variance);
    if (norm_.kind == NormKind::layer) return engine::ops::layer_norm(tape, q, norm_.weight.var, norm_.bias.var, 1e-5);
    return q;
}

Size KeyQuery::parameters() const { return channels_ * columns_ + columns_ + (norm_.kind == NormKind::none ? 0 : 2 * columns_); }

}  // namespace moe
