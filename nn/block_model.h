#pragma once
#include "nn/language_model.h"
#include "nn/layer_norm.h"

#include <functional>
#include <memory>

namespace nn {

// Makes the feed-forward of one block.
using FeedForwardMaker = std::function<std::unique_ptr<FeedForward>(const LayerPlace& place)>;

// What stands around the blocks of every kind.
struct EndsOptions {
    Size vocab = 0, channels = 0;
    float dropout = 0;
    bool tied = false;  // the head is the embedding; then it has no bias either
};

// What kinds of language models share: embedding and head, and how a block's halves join the stream. The kind adds its blocks, then the
// final norm.
class BlockModel : public LanguageModel {
  protected:
    explicit BlockModel(const EndsOptions& options);

    Var embed(engine::Tape& tape, const Tensor& ids) const;
    // x + drop(y), y what the block's mixing of positions made of x.
    Var add_mixed(engine::Tape& tape, const Var& x_BTC, const Var& y_BTC, int layer) const;
    // x + drop(feed_forward(norm(x))); losses and routing go into `result`.
    Var add_feed_forward(engine::Tape& tape, const Var& x_BTC, const LayerNorm& norm, FeedForward& feed_forward, int layer,
                         const RowContext& context, ModelResult& result) const;
    Var logits(engine::Tape& tape, const Var& x_BTC) const;

    // Of embedding, head and final norm.
    Size active_parameters_of_ends() const;
    double flops_of_head() const;

    EndsOptions ends_;
    Parameter embedding_, head_, head_bias_;
    LayerNorm norm_;
};

}  // namespace nn
