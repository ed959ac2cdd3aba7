#include "nn/transformer_xl.h"

#include "engine/memory/memory_log.h"
#include "engine/ops/concat_memory.h"
#include "engine/ops/dropout.h"
#include "engine/ops/embedding.h"
#include "engine/ops/linear.h"
#include "engine/ops/slice_rows.h"
#include "nn/init.h"
#include "nn/random_sites.h"

#include <algorithm>
#include <cmath>

namespace nn {

using namespace engine;

TransformerXl::TransformerXl(const TransformerXlShape& shape, const FeedForwardFactory& make_feed_forward)
    : shape_(shape), norm_(shape.channels) {
    double V = static_cast<double>(shape.vocab), C = static_cast<double>(shape.channels);
    add(embedding_, "embedding.w", {shape.vocab, shape.channels}, uniform(std::sqrt(6.0 / (V + C))));
    for (Size i = 0; i < shape.layers; ++i) {
        LayerPlace place{shape.channels, static_cast<int>(i), static_cast<int>(shape.layers)};
        blocks_.push_back(std::make_unique<TransformerBlock>(place, shape.heads, shape.head_size, shape.dropout, make_feed_forward(place)));
        add(*blocks_.back(), "blocks." + std::to_string(i));
    }
    add(norm_, "norm");
    add(head_, "head.w", {shape.channels, shape.vocab}, uniform(1.0 / std::sqrt(C)));
    add(head_bias_, "head.b", {shape.vocab}, uniform(1.0 / std::sqrt(C)));
}

Var TransformerXl::embed(Tape& tape, const Tensor& ids) const {
    return ops::dropout(tape, ops::embedding(tape, embedding_.var, ids), static_cast<float>(shape_.dropout),
                        random_site(-1, Purpose::block_input));
}

Var TransformerXl::project(Tape& tape, const Var& x) const {
    Var rows = ops::dropout(tape, norm_.forward(tape, x), static_cast<float>(shape_.dropout), random_site(-1, Purpose::head_input));
    return ops::linear_wide(tape, rows, head_.var, head_bias_.var);
}

namespace {

RowContext context_of(const Tensor& ids, double loss_scale) {
    return {.token_ids_N = ids.reshaped({ids.shape().elements()}), .sequence_length = ids.size(1), .loss_scale = loss_scale};
}

// The last `limit` positions of memory and window together.
Tensor carried(Tape& tape, const Tensor& memory, const Var& x, Size limit) {
    if (limit == 0) return Tensor();
    Var whole = memory.defined() && x.size(1) < limit ? ops::concat_memory(tape, memory, Var(x.value())) : Var(x.value());
    if (whole.size(1) <= limit) return whole.value();
    return ops::slice_rows(tape, whole, limit).value();
}

void report(ModelResult& result, int layer, FeedForwardResult& f) {
    if (!f.losses.empty() || f.routing.ids.defined()) result.layers.push_back({layer, std::move(f.losses), std::move(f.routing)});
}

}  // namespace

ModelResult TransformerXl::forward(Tape& tape, const Tensor& ids_BT, ModelMemory& memory, double loss_scale) {
    MemoryScope scope("activations");
    RowContext context = context_of(ids_BT, loss_scale);
    ModelResult result;
    std::vector<Tensor> next(blocks_.size());
    Var x_BTC = embed(tape, ids_BT);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
        Tensor seen = memory.layers.empty() ? Tensor() : memory.layers[i];
        next[i] = carried(tape, seen, x_BTC, memory.limit);
        FeedForwardResult f = blocks_[i]->forward(tape, x_BTC, seen, context);
        x_BTC = f.y_NC;
        report(result, static_cast<int>(i), f);
    }
    if (memory.limit > 0) memory.layers = std::move(next);
    result.logits_NV = project(tape, x_BTC);
    return result;
}

ModelResult TransformerXl::decode(Tape& tape, const Tensor& ids_Bt, DecodeCache& cache) {
    RowContext context = context_of(ids_Bt, 1);
    cache.layers.resize(blocks_.size());
    ModelResult result;
    Var x_BtC = embed(tape, ids_Bt);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
        FeedForwardResult f = blocks_[i]->decode(tape, x_BtC, cache.layers[i], cache.limit, context);
        x_BtC = f.y_NC;
        report(result, static_cast<int>(i), f);
    }
    result.logits_NV = project(tape, x_BtC);
    return result;
}

// performance.md 2.1, with keys and values of the memory projected anew each window and every distance projected once a window.
FeedForward::Flops TransformerXl::flops_per_token(Size T, Size M) const {
    double C = static_cast<double>(shape_.channels), HS = static_cast<double>(shape_.heads * shape_.head_size);
    double t = static_cast<double>(T), m = static_cast<double>(M), visible = m + (t + 1) / 2;
    double projections = 2 * C * HS * (1 + 2 * (t + m) / t + 1), attention = 6 * visible * HS;
    FeedForward::Flops flops;
    for (const auto& block : blocks_) {
        FeedForward::Flops f = block->feed_forward().flops_per_row();
        flops.forward += projections + attention + f.forward;
        flops.selector += f.selector;
    }
    flops.forward += 2 * C * static_cast<double>(shape_.vocab);
    return flops;
}

Size TransformerXl::active_parameters() const {
    Size C = shape_.channels, HS = shape_.heads * shape_.head_size;
    Size count = C + 2 * C + C * shape_.vocab + shape_.vocab;
    for (const auto& block : blocks_) count += 5 * C * HS + 2 * HS + 1 + 4 * C + block->feed_forward().active_parameters();
    return count;
}

}  // namespace nn
