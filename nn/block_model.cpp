#include "nn/block_model.h"

#include "engine/memory/memory_log.h"
#include "engine/ops/add.h"
#include "engine/ops/dropout.h"
#include "engine/ops/embedding.h"
#include "engine/ops/linear.h"
#include "engine/ops/tied_head.h"
#include "nn/init.h"
#include "nn/random_sites.h"

#include <cmath>

namespace nn {

using namespace engine;

BlockModel::BlockModel(const EndsOptions& options) : ends_(options), norm_(options.channels) {
    Size V = options.vocab, C = options.channels;
    double at_c = static_cast<double>(C);
    add(embedding_, "embedding.w", {V, C}, uniform(std::sqrt(6.0 / static_cast<double>(V + C))));
    embedding_.decays = false;
    if (options.tied) {
        add_use(head_, embedding_);
        return;
    }
    add(head_, "head.w", {C, V}, uniform(1.0 / std::sqrt(at_c)));
    add(head_bias_, "head.b", {V}, uniform(1.0 / std::sqrt(at_c)));
}

Var BlockModel::embed(Tape& tape, const Tensor& ids) const {
    MemoryScope scope("embedding");
    return ops::dropout(tape, ops::embedding(tape, embedding_.var, ids), ends_.dropout, random_site(-1, Purpose::block_input));
}

Var BlockModel::add_mixed(Tape& tape, const Var& x_BTC, const Var& y_BTC, int layer) const {
    return ops::add(tape, x_BTC, ops::dropout(tape, y_BTC, ends_.dropout, random_site(layer, Purpose::attention_output)));
}

Var BlockModel::add_feed_forward(Tape& tape, const Var& x_BTC, const LayerNorm& norm, FeedForward& feed_forward, int layer,
                                 const RowContext& context, ModelResult& result) const {
    MemoryScope scope("feed-forward");
    FeedForwardResult f = feed_forward.forward(tape, norm.forward(tape, x_BTC), context);
    if (f.routing.ids.defined() || !f.losses.empty()) result.layers.push_back({layer, std::move(f.losses), std::move(f.routing)});
    return ops::add(tape, x_BTC, ops::dropout(tape, f.y_NC, ends_.dropout, random_site(layer, Purpose::feed_forward_output)));
}

Var BlockModel::logits(Tape& tape, const Var& x_BTC) const {
    MemoryScope scope("head");
    Var x = ops::dropout(tape, norm_.forward(tape, x_BTC), ends_.dropout, random_site(-1, Purpose::head_input));
    return ends_.tied ? ops::tied_head(tape, x, head_.var) : ops::linear_wide(tape, x, head_.var, head_bias_.var);
}

Size BlockModel::active_parameters_of_ends() const {
    Size C = ends_.channels, V = ends_.vocab;
    return C * V * (ends_.tied ? 1 : 2) + (ends_.tied ? 0 : V) + 2 * C;
}

double BlockModel::flops_of_head() const { return 2 * static_cast<double>(ends_.channels) * static_cast<double>(ends_.vocab); }

}  // namespace nn
