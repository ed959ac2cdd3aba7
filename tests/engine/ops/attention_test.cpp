#include "engine/ops/attention.h"

#include "engine/autograd/gradient_check.h"
#include "engine/base/threads.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"
#include "tests/support/reference/attention.h"
#include "tests/support/simt_orders.h"

#include <cmath>

using namespace engine;
using tests::random_values;

namespace {

using Case = tests::reference::AttentionCase;
using Results = tests::reference::AttentionResults;
using tests::reference::attend;

Results run(Exec& exec, Dtype dtype, const Case& c, const std::vector<double>& qkv, const std::vector<double>& dy) {
    Var x(from_host(exec, {c.B, c.T, 3 * c.F()}, dtype, qkv), true);
    Tape tape(exec);
    Var y = ops::attention(tape, x, c.H, c.rope ? ops::rotary_table(exec, c.T + 3, c.Sh, dtype) : Tensor());
    y.give_grad(exec, from_host(exec, {c.B, c.T, c.F()}, dtype, dy));
    tape.backward();
    return {to_host<double>(exec, y.value()), to_host<double>(exec, x.grad())};
}

double worst(const Results& a, const Results& b) {
    return std::max(tests::relative_error(a.y, b.y), tests::relative_error(a.dqkv, b.dqkv));
}

// More keys than a chunk of the CUDA kernel, wider heads than its threads, and more queries than a block of the CPU's.
constexpr Case kCases[] = {{1, 1, 1, 1, false},  {1, 1, 1, 2, true},    {2, 5, 3, 7, false}, {3, 13, 2, 6, true},
                           {1, 3, 1, 130, true}, {1, 131, 1, 3, false}, {1, 67, 2, 4, true}};

std::vector<double> qkv_of(const Case& c) { return random_values(c.B * c.T * 3 * c.F(), 1); }
std::vector<double> dy_of(const Case& c) { return random_values(c.B * c.T * c.F(), 2); }

}  // namespace

TEST_CASE("attention in double equals its formula, forward and gradients, with and without rotary positions") {
    Exec exec;
    for (const Case& c : kCases) CHECK(worst(run(exec, Dtype::f64, c, qkv_of(c), dy_of(c)), attend(c, qkv_of(c), dy_of(c))) < 1e-12);
}

TEST_CASE_DEVICES("attention in fp32 equals its formula on every device") {
    for (const Case& c : kCases) {
        // Scores of size 3 to 2⁻²⁴ each, e^x of them, sums of 131 shares: below 2e-6 with room for two.
        CHECK(worst(run(exec, Dtype::f32, c, qkv_of(c), dy_of(c)), attend(c, qkv_of(c), dy_of(c))) < 5e-6);
    }
}

TEST_CASE_DEVICES("attention in bf16 stays within bf16's rounding of its inputs and results") {
    Case c{2, 9, 3, 8, true};
    // Inputs, turned inputs, results and gradients carry 8 bits each; scores of size 3 move by 2⁻⁷ or so, and so do their exponentials.
    CHECK(worst(run(exec, Dtype::bf16, c, qkv_of(c), dy_of(c)), attend(c, qkv_of(c), dy_of(c))) < 0.03);
}

TEST_CASE("attention has the same bits at any number of threads, a sequence the same alone, and earlier rows do not see later ones") {
    Exec exec;
    Case c{3, 71, 3, 17, false}, alone = c;
    alone.B = 1;
    auto qkv = qkv_of(c), dy = dy_of(c);
    set_threads(1);
    Results one = run(exec, Dtype::f32, c, qkv, dy);
    for (int count : {2, 3}) {
        set_threads(count);
        CHECK(run(exec, Dtype::f32, c, qkv, dy) == one);
    }
    set_threads(2);
    Results first = run(exec, Dtype::f32, alone, {qkv.begin(), qkv.begin() + c.T * 3 * c.F()}, {dy.begin(), dy.begin() + c.T * c.F()});
    CHECK(std::equal(first.y.begin(), first.y.end(), one.y.begin()));
    CHECK(std::equal(first.dqkv.begin(), first.dqkv.end(), one.dqkv.begin()));
    qkv[static_cast<std::size_t>(40 * 3 * c.F() + c.F())] += 2;
    std::vector<double> moved = run(exec, Dtype::f32, c, qkv, dy).y;
    CHECK(std::equal(moved.begin(), moved.begin() + 40 * c.F(), one.y.begin()));
    CHECK_FALSE(std::equal(moved.begin(), moved.begin() + 41 * c.F(), one.y.begin()));
}

TEST_CASE_DEVICES("decoding one position or several at a time gives the bits of the whole sequence") {
    for (bool rope : {false, true}) {
        Case c{2, 21, 2, 6, rope};
        auto qkv = qkv_of(c);
        std::vector<double> whole = run(exec, Dtype::f32, c, qkv, dy_of(c)).y;
        Tensor keys, values, table = rope ? ops::rotary_table(exec, c.T, c.Sh, Dtype::f32) : Tensor();
        Size seen = 0;
        for (Size count : {1, 1, 13, 1, 5}) {
            std::vector<double> part, expected;
            for (Size b = 0; b < c.B; ++b) {
                auto from = qkv.begin() + (b * c.T + seen) * 3 * c.F();
                part.insert(part.end(), from, from + count * 3 * c.F());
                auto row = whole.begin() + (b * c.T + seen) * c.F();
                expected.insert(expected.end(), row, row + count * c.F());
            }
            Tape tape(exec, false);
            Var y = ops::attention_step(tape, Var(from_host(exec, {c.B, count, 3 * c.F()}, Dtype::f32, part)), c.H, table, keys, values);
            CHECK(to_host<double>(exec, y.value()) == expected);
            seen += count;
        }
        CHECK(keys.shape() == Shape{c.B, c.T, c.F()});
    }
}

TEST_CASE("attention on simt does not depend on the order of threads") {
    Exec exec{.device = {DeviceKind::simt, 0}};
    Case c{1, 5, 2, 4, true};
    Results expected = run(exec, Dtype::f32, c, qkv_of(c), dy_of(c));
    for_each_simt_order([&] { CHECK(run(exec, Dtype::f32, c, qkv_of(c), dy_of(c)) == expected); });
}
