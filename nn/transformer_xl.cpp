#include "nn/transformer_xl.h"

#include "engine/memory/memory_log.h"
#include "engine/ops/concat_memory.h"
#include "engine/ops/slice_rows.h"

#include <algorithm>
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
    : BlockModel({options.vocab, options.channels, options.dropout, options.tied}), heads_(options.heads), head_size_(options.head_size) {
    for (Size layer = 0; layer < options.layers; ++layer) {
        LayerPlace place{.channels = options.channels, .layer = static_cast<int>(layer), .depth = static_cast<int>(options.layers)};
        blocks_.push_back(std::make_unique<Block>(place, options, make_feed_forward));
        add(*blocks_.back(), "blocks." + std::to_string(layer));
    }
    add(norm_, "norm");
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
            x_BTC = add_mixed(tape, x_BTC, y_BTC, layer);
        }
        x_BTC = add_feed_forward(tape, x_BTC, block.norm2, *block.feed_forward, layer, context, result);
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
        Var y_BtC = block.attention.decode(tape, block.norm1.forward(tape, x_BtC), seen, cache.limit, positions_);
        x_BtC = add_mixed(tape, x_BtC, y_BtC, layer);
        x_BtC = add_feed_forward(tape, x_BtC, block.norm2, *block.feed_forward, layer, context, result);
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
    double C = at(ends_.channels), F = at(heads_ * head_size_), visible = at(M) + 0.5 * at(T + 1);
    double attention = 2 * C * F * (2 + 2 * at(M + T) / at(T)) + 6 * F * visible;
    FeedForward::Flops total{.forward = flops_of_head(), .selector = 0};
    for (const auto& block : blocks_) {
        FeedForward::Flops flops = block->feed_forward->flops_per_row();
        total.forward += attention + flops.forward;
        total.selector += flops.selector;
    }
    return total;
}

Size TransformerXl::active_parameters() const {
    Size C = ends_.channels, F = heads_ * head_size_, total = active_parameters_of_ends();
    for (const auto& block : blocks_) total += 4 * C + 5 * C * F + 2 * F + 1 + block->feed_forward->active_parameters();
    return total;
}

}  // namespace nn
