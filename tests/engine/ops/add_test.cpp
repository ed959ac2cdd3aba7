#include "engine/ops/add.h"

#include "engine/autograd/gradient_check.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

TEST_CASE_DEVICES("add gives the sum and hands its gradient to both sides") {
    auto a = tests::random_values(7 * 13, 1), b = tests::random_values(7 * 13, 2);
    Var x(from_host(exec, {7, 13}, Dtype::f32, a), true), y(from_host(exec, {7, 13}, Dtype::f32, b), true);
    Tape tape(exec);
    Var z = ops::add(tape, x, y);
    auto sum = to_host<float>(exec, z.value());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(sum[i] == static_cast<float>(a[i]) + static_cast<float>(b[i]));
    z.give_grad(exec, from_host(exec, {7, 13}, Dtype::f32, a));
    tape.backward();
    CHECK(to_host<float>(exec, x.grad()) == to_host<float>(exec, y.grad()));
}

TEST_CASE("add has the gradient of central differences, also of a value added to itself") {
    Exec exec;
    Var x(from_host(exec, {3, 5}, Dtype::f64, tests::random_values(15, 1)), true);
    Var y(from_host(exec, {3, 5}, Dtype::f64, tests::random_values(15, 2)), true);
    CHECK(gradient_error(exec, {x, y}, [&](Tape& tape) { return ops::add(tape, ops::add(tape, x, y), x); }) < 1e-8);
}

TEST_CASE("add refuses different shapes") {
    Exec exec;
    Tape tape(exec);
    Var x(zeros(exec, {2, 3}, Dtype::f32)), y(zeros(exec, {3, 2}, Dtype::f32));
    CHECK_THROWS_WITH(ops::add(tape, x, y), "[add] shapes differ: got (2, 3) and (3, 2)");
}
