#include "nn/evaluation.h"

#include "engine/comm/communicator.h"
#include "engine/ops/cross_entropy.h"
#include "engine/tensor/transfer.h"

namespace nn {

using namespace engine;

EvaluationSums evaluate_window(Exec& exec, LanguageModel& model, const Tensor& ids_BT, const Tensor& targets_BT, ModelMemory& memory,
                               Tensor* logits, std::vector<LayerReport>* reports) {
    Exec alone = exec;
    alone.communicator = nullptr;
    alone.shards = {};
    Tape tape(alone, false, false);
    ModelResult result = model.forward(tape, ids_BT, memory, 1);
    Tensor losses_N = ops::row_losses(tape, result.logits_NV, targets_BT.reshaped({targets_BT.shape().elements()}));
    if (logits != nullptr) *logits = result.logits_NV.value();
    if (reports != nullptr) *reports = std::move(result.layers);
    EvaluationSums sums;
    std::vector<std::int32_t> targets = to_host<std::int32_t>(alone, targets_BT);
    std::vector<double> losses = to_host<double>(alone, losses_N);
    for (std::size_t i = 0; i < targets.size(); ++i) {
        if (targets[i] < 0) continue;
        sums.nats += losses[i];
        sums.tokens += 1;
    }
    return sums;
}

}  // namespace nn
