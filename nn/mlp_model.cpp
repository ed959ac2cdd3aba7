#include "nn/mlp_model.h"

#include "engine/base/error.h"
#include "engine/memory/memory_log.h"
#include "engine/ops/slice_rows.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <string>

namespace nn {

using namespace engine;

namespace {

// (B,M) and (B,T) → (B,M+T). Small, and only evaluation remembers: by way of the host.
Tensor joined(Exec& exec, const Tensor& before_BM, const Tensor& ids_BT) {
    std::vector<std::int32_t> before = to_host<std::int32_t>(exec, before_BM), ids = to_host<std::int32_t>(exec, ids_BT), all;
    Size B = ids_BT.size(0), M = before_BM.size(1), T = ids_BT.size(1);
    for (Size b = 0; b < B; ++b) {
        all.insert(all.end(), before.begin() + b * M, before.begin() + (b + 1) * M);
        all.insert(all.end(), ids.begin() + b * T, ids.begin() + (b + 1) * T);
    }
    return from_host(exec, {B, M + T}, Dtype::i32, all);
}

// The last `count` columns.
Tensor last_ids(Exec& exec, const Tensor& ids_BS, Size count) {
    std::vector<std::int32_t> ids = to_host<std::int32_t>(exec, ids_BS), last;
    Size B = ids_BS.size(0), S = ids_BS.size(1);
    for (Size b = 0; b < B; ++b) last.insert(last.end(), ids.begin() + (b + 1) * S - count, ids.begin() + (b + 1) * S);
    return from_host(exec, {B, count}, Dtype::i32, last);
}

// Of a tensor with a row a position, (B·S,…), the last T rows of every sequence.
template <class Value>
Tensor last_rows(Exec& exec, const Tensor& all, Size B, Size S, Size T) {
    if (!all.defined() || all.size(0) != B * S) return all;
    std::vector<Value> values = to_host<Value>(exec, all), last;
    Size sequence = static_cast<Size>(values.size()) / B, kept = sequence / S * T;
    for (Size b = 1; b <= B; ++b) last.insert(last.end(), values.begin() + b * sequence - kept, values.begin() + b * sequence);
    Shape shape{B * T};
    for (int i = 1; i < all.shape().dims(); ++i) shape.append(all.size(i));
    return from_host(exec, shape, all.dtype(), last);
}

}  // namespace

MlpModel::Block::Block(const LayerPlace& place, const MixerMaker& make_mixer, const FeedForwardMaker& make_feed_forward)
    : norm1(place.channels), norm2(place.channels), mixer(make_mixer(place)) {
    add(norm1, "norm1");
    add(*mixer, "mixer");
    if (!make_feed_forward) return;
    feed_forward = make_feed_forward(place);
    add(norm2, "norm2");
    add(*feed_forward, "ffn");
}

MlpModel::MlpModel(const MlpOptions& options, const MixerMaker& make_mixer, const FeedForwardMaker& make_feed_forward)
    : BlockModel({options.vocab, options.channels, options.dropout, options.tied}) {
    for (Size layer = 0; layer < options.layers; ++layer) {
        LayerPlace place{.channels = options.channels, .layer = static_cast<int>(layer), .depth = static_cast<int>(options.layers)};
        blocks_.push_back(std::make_unique<Block>(place, make_mixer, make_feed_forward));
        const Mixer& mixer = *blocks_.back()->mixer;
        context_ = context_ == 0 ? mixer.most_positions() : std::min(context_, mixer.most_positions());
        prefix_ = std::max(prefix_, mixer.prefix());
        add(*blocks_.back(), "blocks." + std::to_string(layer));
    }
    add(norm_, "norm");
    expect(prefix_ < context_, "mixer",
           "every position of the context sees later ones, so that none could be predicted: got {} of {}; hint: causal = true, a smaller "
           "partial",
           prefix_, context_);
}

template <class Mix>
Var MlpModel::run_blocks(Tape& tape, Var x_BTC, const Tensor& ids_BT, double loss_scale, ModelResult& result, Mix&& mix) const {
    RowContext context{
        .token_ids_N = ids_BT.reshaped({ids_BT.shape().elements()}), .sequence_length = ids_BT.size(1), .loss_scale = loss_scale};
    for (int layer = 0; layer < static_cast<int>(blocks_.size()); ++layer) {
        const Block& block = *blocks_[static_cast<std::size_t>(layer)];
        {
            MemoryScope scope("mixer");
            x_BTC = add_mixed(tape, x_BTC, mix(*block.mixer, block.norm1.forward(tape, x_BTC), layer, context), layer);
        }
        if (block.feed_forward) x_BTC = add_feed_forward(tape, x_BTC, block.norm2, *block.feed_forward, layer, context, result);
    }
    return x_BTC;
}

ModelResult MlpModel::forward(Tape& tape, const Tensor& ids_BT, ModelMemory& memory, double loss_scale) {
    Exec& exec = tape.exec();
    Size T = ids_BT.size(1), M = memory.positions();
    expect(M + T <= context_, "mixer",
           "the window and what is remembered do not fit the context: got {} + {} positions, expected at most {}", T, M, context_);
    Tensor ids_BS = M > 0 ? joined(exec, memory.layers.front(), ids_BT) : ids_BT;
    ModelResult result;
    Var x_BSC =
        run_blocks(tape, embed(tape, ids_BS), ids_BS, loss_scale, result,
                   [&](Mixer& mixer, const Var& x, int, const RowContext& context) { return mixer.forward(tape, x, context).y_NC; });
    result.logits_NV = logits(tape, ops::slice_rows(tape, x_BSC, T));
    for (LayerReport& report : result.layers) {
        if (M == 0) break;
        report.routing.ids = last_rows<std::int32_t>(exec, report.routing.ids, ids_BS.size(0), M + T, T);
        report.routing.gates = last_rows<double>(exec, report.routing.gates, ids_BS.size(0), M + T, T);
        report.routing.logits_NE = last_rows<double>(exec, report.routing.logits_NE, ids_BS.size(0), M + T, T);
    }
    memory.layers.clear();
    if (memory.limit > 0) memory.layers = {last_ids(exec, ids_BS, std::min(memory.limit, M + T))};
    return result;
}

ModelResult MlpModel::decode(Tape& tape, const Tensor& ids_Bt, DecodeCache& cache) {
    cache.mixers.resize(blocks_.size());
    ModelResult result;
    Var x_BtC = run_blocks(tape, embed(tape, ids_Bt), ids_Bt, 1, result, [&](Mixer& mixer, const Var& x, int layer, const RowContext&) {
        return mixer.decode(tape, x, cache.mixers[static_cast<std::size_t>(layer)]).y_NC;
    });
    result.logits_NV = logits(tape, x_BtC);
    return result;
}

std::string MlpModel::refuses_decoding() const {
    for (const auto& block : blocks_) {
        std::string why = block->feed_forward ? block->feed_forward->refuses_decoding() : "";
        if (!why.empty()) return why;
    }
    return "";
}

FeedForward::Flops MlpModel::flops_per_token(Size T, Size) const {
    FeedForward::Flops total{.forward = flops_of_head(), .selector = 0};
    auto add = [&](const FeedForward::Flops& flops) {
        total.forward += flops.forward;
        total.selector += flops.selector;
    };
    for (const auto& block : blocks_) {
        add(block->mixer->flops_per_row_at(T));
        if (block->feed_forward) add(block->feed_forward->flops_per_row());
    }
    return total;
}

Size MlpModel::active_parameters() const {
    Size C = ends_.channels, total = active_parameters_of_ends();
    for (const auto& block : blocks_) {
        total += 2 * C + block->mixer->active_parameters();
        if (block->feed_forward) total += 2 * C + block->feed_forward->active_parameters();
    }
    return total;
}

}  // namespace nn
