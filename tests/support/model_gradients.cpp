#include "tests/support/model_gradients.h"

#include "engine/ops/cross_entropy.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

namespace tests {

using namespace engine;

namespace {

double objective(Exec& exec, nn::LanguageModel& model, const ModelWindow& window, bool backward) {
    nn::ModelMemory memory = window.memory;
    Tape tape(exec, backward, true);
    nn::ModelResult result = model.forward(tape, window.ids_BT, memory, 1);
    double total = 0;
    for (const auto& layer : result.layers) {
        for (const auto& loss : layer.losses) total += loss.weight * to_host<double>(exec, loss.value)[0];
    }
    Tensor sums = ops::cross_entropy(tape, result.logits_NV, window.targets_N, 0.1);
    if (backward) tape.backward();
    return total + 0.1 * to_host<double>(exec, sums)[0];
}

}  // namespace

void check_model_gradients(Exec& exec, nn::LanguageModel& model, nn::ParameterStore& store, const ModelWindow& window, std::size_t stride,
                           double floor) {
    store.begin_pass();
    objective(exec, model, window, true);
    store.end_pass(exec);
    store.add_uses(exec);
    for (const auto& place : store.places()) {
        const std::string& name = place.parameter->name;
        Tensor value = place.parameter->var.value();
        std::vector<double> gradient = to_host<double>(exec, store.view(store.gradient(), place)), values = to_host<double>(exec, value);
        double worst = 0, largest = floor;
        // From a different one in each parameter.
        for (std::size_t i = name.size() % stride; i < values.size(); i += stride) {
            constexpr double kStep = 1e-5;
            double kept = values[i], sides[2];
            for (int side = 0; side < 2; ++side) {
                values[i] = kept + (side == 0 ? kStep : -kStep);
                copy_from_host(exec, value, values);
                sides[side] = objective(exec, model, window, false);
            }
            values[i] = kept;
            copy_from_host(exec, value, values);
            worst = std::max(worst, std::abs(gradient[i] - (sides[0] - sides[1]) / (2 * kStep)));
            largest = std::max(largest, std::abs(gradient[i]));
        }
        // Central differences: error h²·f''' + ε/h ≈ 1e-10 of an objective near 1.
        INFO(name);
        CHECK(worst / largest < 1e-5);
    }
}

}  // namespace tests
