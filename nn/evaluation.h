#pragma once
#include "nn/language_model.h"

#include <functional>

namespace nn {

// Sums over scored tokens. A target of −1 is not scored.
struct EvaluationSums {
    double nats = 0;
    std::int64_t tokens = 0;
};

// Cross-entropy of one window (B,T) given the memory that earlier windows left, which it advances. Nothing is recorded or dropped out.
// `logits`, where given, becomes the logits (B·T,V), `reports` what the layers tell.
//
// No score sees what it predicts: a position of the model's prefix is scored at the end of the window that is cut off behind it, and so
// once more read; without that its logits would know the next token.
EvaluationSums evaluate_window(engine::Exec& exec, LanguageModel& model, const Tensor& ids_BT, const Tensor& targets_BT,
                               ModelMemory& memory, Tensor* logits = nullptr, std::vector<LayerReport>* reports = nullptr);

}  // namespace nn
