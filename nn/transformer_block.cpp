#include "nn/transformer_block.h"

#include "engine/ops/add.h"
#include "engine/ops/concat_memory.h"
#include "engine/ops/dropout.h"
#include "nn/random_sites.h"

namespace nn {

using namespace engine;

TransformerBlock::TransformerBlock(const LayerPlace& place, Size heads, Size head_size, double dropout,
                                   std::unique_ptr<FeedForward> feed_forward)
    : layer_(place.layer),
      dropout_(static_cast<float>(dropout)),
      norm1_(place.channels),
      norm2_(place.channels),
      attention_(place, heads, head_size),
      feed_forward_(std::move(feed_forward)) {
    add(norm1_, "norm1");
    add(attention_, "attention");
    add(norm2_, "norm2");
    add(*feed_forward_, "ffn");
}

FeedForwardResult TransformerBlock::forward(Tape& tape, const Var& x_BTC, const Tensor& memory_BMC, const RowContext& context) const {
    Var full_BMTC = memory_BMC.defined() ? ops::concat_memory(tape, memory_BMC, x_BTC) : x_BTC;
    return finish(tape, x_BTC, attention_.forward(tape, norm1_.forward(tape, full_BMTC), x_BTC.size(1)), context);
}

FeedForwardResult TransformerBlock::decode(Tape& tape, const Var& x_BtC, KeyValueCache& cache, Size limit,
                                           const RowContext& context) const {
    return finish(tape, x_BtC, attention_.decode(tape, norm1_.forward(tape, x_BtC), cache, limit), context);
}

FeedForwardResult TransformerBlock::finish(Tape& tape, Var x_BTC, const Var& attended_BTC, const RowContext& context) const {
    x_BTC = ops::add(tape, x_BTC, ops::dropout(tape, attended_BTC, dropout_, random_site(layer_, Purpose::attention_output)));
    FeedForwardResult result = feed_forward_->forward(tape, norm2_.forward(tape, x_BTC), context);
    result.y_NC = ops::add(tape, x_BTC, ops::dropout(tape, result.y_NC, dropout_, random_site(layer_, Purpose::feed_forward_output)));
    return result;
}

}  // namespace nn
