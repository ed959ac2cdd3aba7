#include "moe/kernels/hidden_dropout.h"

#include "engine/autograd/gradient_check.h"
#include "engine/base/philox.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "moe/methods/table.h"
#include "nn/parameter_store.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <algorithm>

using namespace engine;
using tests::random_values;

TEST_CASE("hidden_dropout zeroes the same elements on cpu and simt, by token and slot, and scales the others") {
    StepScalars scalars{.seed = 7, .step = 3};
    constexpr Size choices = 37, G = 19;
    std::vector<std::int32_t> position(choices);
    for (std::size_t i = 0; i < choices; ++i) position[i] = static_cast<std::int32_t>(i * 8 % choices);
    position[5] = -1;  // a choice without a row
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        auto values = random_values(choices * G, 1);
        std::vector<std::vector<double>> results;
        for (DeviceKind kind : {DeviceKind::cpu, DeviceKind::simt}) {
            Exec exec{.device = {kind, 0}, .scalars = &scalars};
            Tensor a = from_host(exec, {choices, G}, dtype, values), at = from_host(exec, {choices}, Dtype::i32, position);
            visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                moe::kernels::hidden_dropout<D, T>(exec, a.rows<T>(), at.data<std::int32_t>(), choices, {0.25f, 5, 100});
            });
            results.push_back(to_host<double>(exec, a));
        }
        CHECK(results[0] == results[1]);
        Exec exec;
        auto before = to_host<double>(exec, from_host(exec, {choices, G}, dtype, values));
        for (std::size_t i = 0; i < choices; ++i) {
            for (std::size_t g = 0; g < G; ++g) {
                std::size_t row = position[i] < 0 ? 40 % choices : static_cast<std::size_t>(position[i]);
                bool dropped = position[i] >= 0 && random_bits(7, 3, 5, (100 + i) * G + g) < drop_threshold(0.25f);
                // Divided by ¾ in fp32, then rounded to the dtype: 2⁻⁸ at most.
                double expected = dropped ? 0 : position[i] < 0 ? before[row * G + g] : before[row * G + g] / 0.75;
                CHECK(results[0][row * G + g] == doctest::Approx(expected).epsilon(0x1p-8));
            }
        }
    }
}

TEST_CASE("experts drop hidden values in training only, and their gradients are those of central differences through the same mask") {
    Exec exec;
    StepScalars scalars{.seed = 3};
    exec.scalars = &scalars;
    nn::OptionTable options("ffn");
    options.set("n_experts", Size{3}), options.set("expert_size", Size{4}), options.set("k", Size{2});
    auto build = [&](const nn::OptionTable& table) { return moe::make_feed_forward(moe::method_named("sigma-moe"), table, {5, 0, 1}); };
    auto plain = build(options);
    options.set("hidden_dropout", 0.5);
    auto dropping = build(options);
    nn::ParameterStore plain_store(exec, *plain, Dtype::f64, 3, false), store(exec, *dropping, Dtype::f64, 3, true);
    Var x(from_host(exec, {6, 5}, Dtype::f64, random_values(30, 1)), true);
    auto y = [&](nn::FeedForward& layer, bool training) {
        Tape tape(exec, false, training);
        return to_host<double>(exec, layer.forward(tape, x, {}).y_NC.value());
    };
    CHECK(y(*dropping, false) == y(*plain, true));
    CHECK(y(*dropping, true) != y(*plain, true));
    std::vector<Var> inputs = {x};
    for (const auto& place : store.places()) inputs.push_back(place.parameter->var);
    CHECK(gradient_error(exec, inputs, [&](Tape& tape) { return dropping->forward(tape, x, {}).y_NC; }) < 1e-7);
}
