#include "nn/attention.h"

#include "engine/autograd/gradient_check.h"
#include "engine/tensor/transfer.h"
#include "nn/parameter_store.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using tests::random_values;

TEST_CASE("an attention layer has the gradients of central differences, with rotary positions and biases") {
    Exec exec;
    nn::Attention attention({.channels = 12, .depth = 2}, 3, true, true);
    nn::ParameterStore store(exec, attention, Dtype::f64, 3, true);
    nn::RotaryTable positions;
    std::vector<Var> inputs = {Var(from_host(exec, {2, 4, 12}, Dtype::f64, random_values(96, 1)), true)};
    for (const auto& place : store.places()) {
        inputs.push_back(place.parameter->var);
        // Biases other than 0, and weights large enough to leave the softmax's flat middle.
        Size count = place.parameter->shape.elements();
        copy_from_host(exec, place.parameter->var.value(), random_values(count, 5));
    }
    CHECK(gradient_error(exec, inputs, [&](Tape& tape) { return attention.forward(tape, inputs[0], positions); }) < 1e-7);
}

TEST_CASE_DEVICES("decoding position by position gives the bits of the whole window, also past the first rotary table") {
    nn::Attention attention({.channels = 8, .depth = 1}, 2, true, false);
    nn::ParameterStore store(exec, attention, Dtype::f32, 3, false);
    constexpr Size B = 2, T = 11, C = 8;
    auto x = random_values(B * T * C, 1);
    Tape tape(exec, false);
    nn::RotaryTable all, growing;
    auto whole = to_host<float>(exec, attention.forward(tape, Var(from_host(exec, {B, T, C}, Dtype::f32, x)), all).value());
    nn::KeyValueCache cache;
    for (Size t = 0; t < T; ++t) {
        std::vector<double> rows;
        std::vector<float> expected;
        for (Size b = 0; b < B; ++b) {
            Size row = (b * T + t) * C;
            rows.insert(rows.end(), x.begin() + row, x.begin() + row + C);
            expected.insert(expected.end(), whole.begin() + row, whole.begin() + row + C);
        }
        Var y = attention.decode(tape, Var(from_host(exec, {B, 1, C}, Dtype::f32, rows)), cache, growing);
        CHECK(to_host<float>(exec, y.value()) == expected);
    }
}

TEST_CASE("attention refuses heads that do not divide the channels, and odd halves for rotary positions") {
    CHECK_THROWS_WITH(nn::Attention({.channels = 12}, 5, false, false),
                      "[attention] heads must divide the channels: got heads = 5, channels = 12");
    CHECK_THROWS_WITH(nn::Attention({.channels = 9}, 3, true, false),
                      "[attention] rotary positions want an even head size: got channels / heads = 3");
}
