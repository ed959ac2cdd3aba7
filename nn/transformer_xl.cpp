#include "nn/transformer_xl.h"

#include "engine/base/error.h"
#include "engine/memory/memory_log.h"
#include "engine/ops/add.h"
#include "engine/ops/concat_memory.h"
#include "engine/ops/dropout.h"
#include "engine/ops/embedding.h"
#include "engine/ops/linear.h"
#include "engine/ops/slice_rows.h"
#include "engine/ops/tied_head.h"
#include "nn/init.h"
#include "nn/random_sites.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace nn {

using namespace engine;

namespace {

double at(Size size) { return static_cast<double>(size); }

// The last `limit` positions of the old memory and the window's inputs; undefined where nothing is kept.
Tensor remembered(Exec& exec, const Tensor& full_BSC, Size limit) {
    Tape still(exec, false, false);
    Size kept = std::min(limit, full_BSC.size(1));
    return kept > 0 ? ops::slice_rows(still, Var(full_BSC), kept).value() : Tensor();
}

}  // namespace

TransformerXl::Block::Block(const LayerPlace& place, const TransformerXlOptions& options, const FeedForwardMaker& make_feed_forward)
    : norm1(options.channels),
      norm2(options.channels),
      attention(place, options.heads, options.head_size),
      feed_forward(make_feed_forward(place)) {
    add(norm1, "norm1");
    add(attention, "attention");
    add(norm2, "norm2");
    add(*feed_forward, "ffn");
}

TransformerXl::TransformerXl(const TransformerXlOptions& options, const FeedForwardMaker& make_feed_forward)
    : options_(options), norm_(options.channels) {
    Size V = options.vocab, C = options.channels;
    add(embedding_, "embedding.w", {V, C}, uniform(std::sqrt(6.0 / at(V + C))));
    embedding_.decays = false;
    for (Size layer = 0; layer < options.layers; ++layer) {
        LayerPlace place{.channels = C, .layer = static_cast<int>(layer), .depth = static_cast<int>(options.layers)};
        blocks_.push_back(std::make_unique<Block>(place, options, make_feed_forward));
        add(*blocks_.back(), "blocks." + std::to_string(layer));
    }
    add(norm_, "norm");
    if (options.tied) {
        add_use(head_, embedding_);
        return;
    }
    add(head_, "head.w", {C, V}, uniform(1.0 / std::sqrt(at(C))));
    add(head_bias_, "head.b", {V}, uniform(1.0 / std::sqrt(at(C))));
}

Var TransformerXl::embed(Tape& tape, const Tensor& ids) const {
    MemoryScope scope("embedding");
    return ops::dropout(tape, ops::embedding(tape, embedding_.var, ids), options_.dropout, random_site(-1, Purpose::block_input));
}

Var TransformerXl::add_feed_forward(Tape& tape, const Var& x_BTC, const Block& block, int layer, const RowContext& context,
                                    ModelResult& result) const {
    MemoryScope scope("feed-forward");
    FeedForwardResult f = block.feed_forward->forward(tape, block.norm2.forward(tape, x_BTC), context);
    if (f.routing.ids.defined() || !f.losses.empty()) result.layers.push_back({layer, std::move(f.losses), std::move(f.routing)});
    return ops::add(tape, x_BTC, ops::dropout(tape, f.y_NC, options_.dropout, random_site(layer, Purpose::feed_forward_output)));
}

Var TransformerXl::logits(Tape& tape, const Var& x_BTC) const {
    MemoryScope scope("head");
    Var x = ops::dropout(tape, norm_.forward(tape, x_BTC), options_.dropout, random_site(-1, Purpose::head_input));
    return options_.tied ? ops::tied_head(tape, x, head_.var) : ops::linear_wide(tape, x, head_.var, head_bias_.var);
}

ModelResult TransformerXl::forward(Tape& tape, const Tensor& ids_BT, ModelMemory& memory, double loss_scale) {
    Exec& exec = tape.exec();
    Size T = ids_BT.size(1);
    RowContext context{.token_ids_N = ids_BT.reshaped({ids_BT.shape().elements()}), .sequence_length = T, .loss_scale = loss_scale};
    ModelResult result;
    std::vector<Tensor> next;
    Var x_BTC = embed(tape, ids_BT);
    for (int layer = 0; layer < static_cast<int>(blocks_.size()); ++layer) {
        const Block& block = *blocks_[static_cast<std::size_t>(layer)];
        {
            MemoryScope scope("attention");
            bool has_memory = !memory.layers.empty() && memory.layers[static_cast<std::size_t>(layer)].defined();
            Var full_BSC = has_memory ? ops::concat_memory(tape, memory.layers[static_cast<std::size_t>(layer)], x_BTC) : x_BTC;
            next.push_back(remembered(exec, full_BSC.value(), memory.limit));
            Var y_BTC = block.attention.forward(tape, block.norm1.forward(tape, full_BSC), T, positions_);
            x_BTC = ops::add(tape, x_BTC, ops::dropout(tape, y_BTC, options_.dropout, random_site(layer, Purpose::attention_output)));
        }
        x_BTC = add_feed_forward(tape, x_BTC, block, layer, context, result);
    }
    memory.layers = std::move(next);
    result.logits_NV = logits(tape, x_BTC);
    return result;
}

ModelResult TransformerXl::decode(Tape& tape, const Tensor& ids_Bt, DecodeCache& cache) {
    RowContext context{.token_ids_N = ids_Bt.reshaped({ids_Bt.shape().elements()}), .sequence_length = ids_Bt.size(1)};
    ModelResult result;
    cache.layers.resize(blocks_.size());
    Var x_BtC = embed(tape, ids_Bt);
    for (int layer = 0; layer < static_cast<int>(blocks_.size()); ++layer) {
        const Block& block = *blocks_[static_cast<std::size_t>(layer)];
        KeyValueCache& seen = cache.layers[static_cast<std::size_t>(layer)];
        x_BtC = ops::add(tape, x_BtC, block.attention.decode(tape, block.norm1.forward(tape, x_BtC), seen, cache.limit, positions_));
        x_BtC = add_feed_forward(tape, x_BtC, block, layer, context, result);
    }
    result.logits_NV = logits(tape, x_BtC);
    return result;
}

std::string TransformerXl::refuses_decoding() const {
    for (const auto& block : blocks_) {
        if (std::string why = block->feed_forward->refuses_decoding(); !why.empty()) return why;
    }
    return "";
}

// Queries see M + (T+1)/2 positions on average; keys and values are made for M + T positions. The projection of the positions is once a
// window, whatever its sequences, and not counted.
FeedForward::Flops TransformerXl::flops_per_token(Size T, Size M) const {
    double C = at(options_.channels), F = at(options_.heads * options_.head_size), visible = at(M) + 0.5 * at(T + 1);
    double attention = 2 * C * F * (2 + 2 * at(M + T) / at(T)) + 6 * F * visible;
    FeedForward::Flops total{.forward = 2 * C * at(options_.vocab), .selector = 0};
    for (const auto& block : blocks_) {
        FeedForward::Flops flops = block->feed_forward->flops_per_row();
        total.forward += attention + flops.forward;
        total.selector += flops.selector;
    }
    return total;
}

Size TransformerXl::active_parameters() const {
    Size C = options_.channels, F = options_.heads * options_.head_size, V = options_.vocab;
    Size total = C * V * (options_.tied ? 1 : 2) + (options_.tied ? 0 : V) + 2 * C;
    for (const auto& block : blocks_) total += 4 * C + 5 * C * F + 2 * F + 1 + block->feed_forward->active_parameters();
    return total;
}

}  // namespace nn
