#include "engine/autograd/tape.h"

#include "engine/base/error.h"
#include "engine/ops/add.h"
#include "engine/ops/linear.h"
#include "engine/tensor/transfer.h"
#include "tests/support/random.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace engine;
using tests::random_values;

namespace {

Var parameter(Exec& exec, Shape shape, std::uint64_t salt) {
    return Var::parameter(from_host(exec, shape, Dtype::f32, random_values(shape.elements(), salt)), zeros(exec, shape, Dtype::f32));
}

// Gives a parameter a gradient that it does not name.
struct ForgetfulNode final : Node {
    Var parameter, y;
    const char* name() const override { return "forgetful"; }
    bool is_reached() const override { return true; }
    void backward(Exec& exec) override { parameter.grad_slot(exec); }
    ForgetfulNode(Var parameter_) : parameter(std::move(parameter_)) {}
};

}  // namespace

TEST_CASE("a parameter is complete after the first node that used it, in the order of the tape, and each is told once") {
    Exec exec;
    Var x(from_host(exec, {2, 8}, Dtype::f32, random_values(16, 1)), true);
    Var once = parameter(exec, {8, 8}, 2), twice = parameter(exec, {8, 8}, 3), bias = parameter(exec, {8}, 4),
        last = parameter(exec, {8, 8}, 5);
    Tape tape(exec);
    Var a = ops::linear(tape, x, twice, bias), b = ops::linear(tape, a, once, {}), c = ops::linear(tape, b, twice, {});
    Var y = ops::linear(tape, c, last, {});
    REQUIRE(tape.size() == 4);
    y.give_grad(exec, from_host(exec, {2, 8}, Dtype::f32, random_values(16, 6)));
    std::vector<std::vector<const void*>> told;
    tape.backward([&](std::span<const Var> complete) {
        told.emplace_back();
        for (const Var& each : complete) told.back().push_back(each.identity());
    });
    CHECK(told == std::vector<std::vector<const void*>>{{last.identity()}, {}, {once.identity()}, {bias.identity(), twice.identity()}});
}

TEST_CASE("a parameter whose node no gradient reaches is complete, too") {
    Exec exec;
    Var x(from_host(exec, {2, 8}, Dtype::f32, random_values(16, 1)), true), used = parameter(exec, {8, 8}, 2),
                                                                            idle = parameter(exec, {8, 8}, 3);
    Tape tape(exec);
    ops::linear(tape, x, idle, {});
    Var y = ops::linear(tape, x, used, {});
    y.give_grad(exec, zeros(exec, {2, 8}, Dtype::f32));
    std::vector<const void*> told;
    tape.backward([&](std::span<const Var> complete) {
        for (const Var& each : complete) told.push_back(each.identity());
    });
    CHECK(told == std::vector<const void*>{used.identity(), idle.identity()});
    CHECK_FALSE(idle.has_grad());
}

TEST_CASE("an op that gives a gradient to a parameter it did not name is an error once the parameter was complete, until the next pass") {
    Exec exec;
    Var x(from_host(exec, {2, 8}, Dtype::f32, random_values(16, 1)), true), w = parameter(exec, {8, 8}, 2);
    auto run = [&](bool forgetful) {
        Tape tape(exec);
        if (forgetful) tape.record(ForgetfulNode(w));
        Var y = ops::linear(tape, x, w, {});
        y.give_grad(exec, zeros(exec, {2, 8}, Dtype::f32));
        tape.backward();
    };
    run(false);
    CHECK_THROWS_WITH_AS(w.grad_slot(exec), doctest::Contains("taken as complete"), Error);
    run(false);
    w.forget_grad();
    w.grad_slot(exec);
    CHECK_THROWS_WITH_AS(run(true), doctest::Contains("must name all inputs"), Error);
}
