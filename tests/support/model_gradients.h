#pragma once
// Gradients of whole language models, against finite differences in double.
#include "nn/language_model.h"
#include "nn/parameter_store.h"

#include <string>
#include <vector>

namespace tests {

// What a model is trained on: one window after a memory.
struct ModelWindow {
    engine::Tensor ids_BT, targets_N;
    nn::ModelMemory memory = {};
};

// Every parameter's gradient of 0.1 · cross-entropy, summed over tokens, and of the weighted balance losses. Of each parameter every
// `stride`th element is moved; a difference counts against the largest gradient among them, and `floor` at least.
void check_model_gradients(engine::Exec& exec, nn::LanguageModel& model, nn::ParameterStore& store, const ModelWindow& window,
                           std::size_t stride, double floor);

}  // namespace tests
