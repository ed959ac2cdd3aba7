#include "nn/evaluation.h"

#include "engine/comm/communicator.h"
#include "engine/ops/cross_entropy.h"
#include "engine/tensor/transfer.h"

#include <algorithm>

namespace nn {

using namespace engine;

namespace {

using Ids = std::vector<std::int32_t>;

EvaluationSums score(Exec& exec, LanguageModel& model, const Tensor& ids_BT, const Ids& targets, ModelMemory& memory, Tensor* logits,
                     std::vector<LayerReport>* reports) {
    Tape tape(exec, false, false);
    ModelResult result = model.forward(tape, ids_BT, memory, 1);
    Tensor losses_N = ops::row_losses(tape, result.logits_NV, from_host(exec, {ids_BT.shape().elements()}, Dtype::i32, targets));
    if (logits != nullptr) *logits = result.logits_NV.value();
    if (reports != nullptr) *reports = std::move(result.layers);
    EvaluationSums sums;
    std::vector<double> losses = to_host<double>(exec, losses_N);
    for (std::size_t i = 0; i < targets.size(); ++i) {
        if (targets[i] < 0) continue;
        sums.nats += losses[i];
        sums.tokens += 1;
    }
    return sums;
}

// The window's first `length` columns as one whose last position alone is scored; that target is taken out of the window.
EvaluationSums score_cut(Exec& exec, LanguageModel& model, const Ids& ids, Ids& targets, Size B, Size length, const ModelMemory& memory) {
    Size T = static_cast<Size>(ids.size()) / B;
    Ids cut, last(static_cast<std::size_t>(B * length), -1);
    for (Size b = 0; b < B; ++b) {
        cut.insert(cut.end(), ids.begin() + b * T, ids.begin() + b * T + length);
        std::swap(last[static_cast<std::size_t>((b + 1) * length - 1)], targets[static_cast<std::size_t>(b * T + length - 1)]);
    }
    if (std::all_of(last.begin(), last.end(), [](std::int32_t target) { return target < 0; })) return {};
    ModelMemory before = memory;
    return score(exec, model, from_host(exec, {B, length}, Dtype::i32, cut), last, before, nullptr, nullptr);
}

}  // namespace

EvaluationSums evaluate_window(Exec& exec, LanguageModel& model, const Tensor& ids_BT, const Tensor& targets_BT, ModelMemory& memory,
                               Tensor* logits, std::vector<LayerReport>* reports) {
    Exec alone = exec;
    alone.communicator = nullptr;
    alone.shards = {};
    Size B = ids_BT.size(0), T = ids_BT.size(1), known = memory.positions();
    Ids targets = to_host<std::int32_t>(alone, targets_BT);
    EvaluationSums sums;
    // The last position of the prefix, or of a window that ends before, sees nothing later.
    Size blind = std::min(model.prefix(), known + T) - 1 - known;
    if (blind > 0) {
        Ids ids = to_host<std::int32_t>(alone, ids_BT);
        for (Size length = 1; length <= blind; ++length) {
            EvaluationSums cut = score_cut(alone, model, ids, targets, B, length, memory);
            sums.nats += cut.nats;
            sums.tokens += cut.tokens;
        }
    }
    EvaluationSums rest = score(alone, model, ids_BT, targets, memory, logits, reports);
    return {sums.nats + rest.nats, sums.tokens + rest.tokens};
}

}  // namespace nn
