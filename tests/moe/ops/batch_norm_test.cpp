#include "moe/ops/batch_norm.h"

#include "engine/autograd/gradient_check.h"
#include "engine/comm/communicator.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <cmath>

using namespace engine;
using tests::random_values;

namespace {

struct Running {
    nn::State mean, variance;
    Running(Exec& exec, Size F, Dtype dtype) {
        mean.value = from_host(exec, {F}, dtype, random_values(F, 20));
        auto positive = random_values(F, 21);
        for (double& value : positive) value = 1.5 + value;
        variance.value = from_host(exec, {F}, dtype, positive);
    }
};

struct Results {
    std::vector<double> y, dx, dw, db, next_mean, next_variance;
    bool operator==(const Results&) const = default;
};

Results run(Exec& exec, Dtype dtype, const std::vector<double>& x, const std::vector<double>& dy, Size F, bool trains) {
    Size N = static_cast<Size>(x.size()) / F;
    Running running(exec, F, sum_dtype(dtype));
    Var xv(from_host(exec, {N, F}, dtype, x), true);
    auto parameter = [&](std::uint64_t salt) {
        return Var::parameter(from_host(exec, {F}, dtype, random_values(F, salt)), zeros(exec, {F}, sum_dtype(dtype)));
    };
    Var w = parameter(3), b = parameter(4);
    Tape tape(exec, true, trains);
    Var y = moe::ops::batch_norm(tape, xv, w, b, running.mean, running.variance);
    y.give_grad(exec, from_host(exec, {N, F}, dtype, dy));
    tape.backward();
    auto next = [&](const nn::State& state) { return state.next.defined() ? to_host<double>(exec, state.next) : std::vector<double>{}; };
    return {to_host<double>(exec, y.value()),
            to_host<double>(exec, xv.grad()),
            to_host<double>(exec, w.grad()),
            to_host<double>(exec, b.grad()),
            next(running.mean),
            next(running.variance)};
}

Results reference(const std::vector<double>& x, const std::vector<double>& dy, std::size_t F, bool trains) {
    std::size_t N = x.size() / F;
    double n = static_cast<double>(N);
    auto w = random_values(static_cast<Size>(F), 3), b = random_values(static_cast<Size>(F), 4),
         old_mean = random_values(static_cast<Size>(F), 20), old_variance = random_values(static_cast<Size>(F), 21);
    Results out{std::vector<double>(N * F), std::vector<double>(N * F), std::vector<double>(F), std::vector<double>(F), {}, {}};
    for (std::size_t f = 0; f < F; ++f) {
        double mean = 0, variance = 0, sum = 0, product = 0;
        for (std::size_t i = 0; i < N; ++i) mean += x[i * F + f] / n;
        for (std::size_t i = 0; i < N; ++i) variance += (x[i * F + f] - mean) * (x[i * F + f] - mean) / n;
        double running_variance = old_variance[f] + 1.5;
        if (trains) {
            out.next_mean.push_back(0.9 * old_mean[f] + 0.1 * mean);
            out.next_variance.push_back(0.9 * running_variance + 0.1 * variance * n / (n - 1));
        } else {
            mean = old_mean[f], variance = running_variance;
        }
        double rate = 1 / std::sqrt(variance + 1e-5);
        for (std::size_t i = 0; i < N; ++i) {
            double normal = (x[i * F + f] - mean) * rate;
            out.y[i * F + f] = normal * w[f] + b[f];
            sum += dy[i * F + f];
            product += dy[i * F + f] * normal;
        }
        out.dw[f] = product, out.db[f] = sum;
        for (std::size_t i = 0; i < N; ++i) {
            double normal = (x[i * F + f] - mean) * rate;
            out.dx[i * F + f] = rate * w[f] * (dy[i * F + f] - (trains ? sum / n + normal * product / n : 0));
        }
    }
    return out;
}

double worst(const Results& got, const Results& exact) {
    double error = 0;
    for (auto member : {&Results::y, &Results::dx, &Results::dw, &Results::db, &Results::next_mean, &Results::next_variance}) {
        if (!(exact.*member).empty()) error = std::max(error, tests::relative_error(got.*member, exact.*member));
    }
    return error;
}

}  // namespace

TEST_CASE_DEVICES("batch norm equals its formula in double precision, training and evaluating") {
    struct Sizes {
        Size N, F;
    };
    for (auto [N, F] : {Sizes{5, 1}, Sizes{3, 5}, Sizes{150, 7}, Sizes{64, 130}}) {
        auto x = random_values(N * F, 1), dy = random_values(N * F, 2);
        for (bool trains : {true, false}) {
            CAPTURE(N);
            // Sums of up to 150 terms of size 1, 150·2⁻²⁴ ≈ 9e-6, magnified by rates of up to 3.
            CHECK(worst(run(exec, Dtype::f32, x, dy, F, trains), reference(x, dy, static_cast<std::size_t>(F), trains)) < 5e-5);
        }
    }
}

TEST_CASE("batch norm in double has the gradients of central differences") {
    Exec exec;
    Running running(exec, 5, Dtype::f64);
    Var x(from_host(exec, {6, 5}, Dtype::f64, random_values(30, 1)), true), w(from_host(exec, {5}, Dtype::f64, random_values(5, 3)), true),
        b(from_host(exec, {5}, Dtype::f64, random_values(5, 4)), true);
    for (int shards : {1, 3}) {
        exec.shards = {0, shards, shards};
        CHECK(gradient_error(exec, {x, w, b},
                             [&](Tape& tape) { return moe::ops::batch_norm(tape, x, w, b, running.mean, running.variance); }) < 1e-7);
    }
}

TEST_CASE("batch norm has equal bits on 1, 2 and 4 virtual ranks") {
    constexpr Size N = 24, F = 9;
    auto x = random_values(N * F, 1), dy = random_values(N * F, 2);
    std::vector<Results> whole;
    for (int ranks : {1, 2, 4}) {
        std::vector<Results> part(static_cast<std::size_t>(ranks));
        run_virtual_ranks(ranks, [&](Communicator& communicator) {
            int rank = communicator.rank(), shards = 4 / ranks;
            Exec exec{.communicator = &communicator, .shards = {rank * shards, shards, 4}};
            auto own = [&](const std::vector<double>& all) {
                auto length = static_cast<std::ptrdiff_t>(all.size()) / ranks;
                return std::vector<double>(all.begin() + rank * length, all.begin() + (rank + 1) * length);
            };
            Results result = run(exec, Dtype::f32, own(x), own(dy), F, true);
            // What the trainer does with parameters' gradients.
            for (auto member : {&Results::dw, &Results::db}) {
                Tensor sum = from_host(exec, {F}, Dtype::f32, result.*member);
                communicator.tree_sum(exec, sum);
                result.*member = to_host<double>(exec, sum);
            }
            part[static_cast<std::size_t>(rank)] = result;
        });
        Results joined = part[0];
        for (std::size_t r = 1; r < part.size(); ++r) {
            for (auto member : {&Results::y, &Results::dx})
                (joined.*member).insert((joined.*member).end(), (part[r].*member).begin(), (part[r].*member).end());
            for (auto member : {&Results::dw, &Results::db, &Results::next_mean, &Results::next_variance})
                CHECK(part[r].*member == joined.*member);
        }
        whole.push_back(joined);
    }
    CHECK(whole[1] == whole[0]);
    CHECK(whole[2] == whole[0]);
}

TEST_CASE("batch norm has the same bits on cpu and simt, so that ids chosen after it are the same") {
    Exec cpu, simt{.device = {DeviceKind::simt, 0}};
    auto x = random_values(200 * 6, 1), dy = random_values(200 * 6, 2);
    CHECK(run(cpu, Dtype::f32, x, dy, 6, true) == run(simt, Dtype::f32, x, dy, 6, true));
}

TEST_CASE("several passes of one step each go on from the last one's running statistics; one row in training is refused") {
    Exec exec;
    Running running(exec, 1, Dtype::f64);
    double start = to_host<double>(exec, running.mean.value)[0];
    Var x(from_host(exec, {2, 1}, Dtype::f64, std::vector<double>{1, 3})), w(from_host(exec, {1}, Dtype::f64, std::vector<double>{1})),
        b = w;
    for (int pass = 0; pass < 2; ++pass) {
        Tape tape(exec);
        moe::ops::batch_norm(tape, x, w, b, running.mean, running.variance);
    }
    CHECK(to_host<double>(exec, running.mean.next)[0] == doctest::Approx(0.9 * (0.9 * start + 0.2) + 0.2).epsilon(1e-12));
    Tape tape(exec);
    Var one(from_host(exec, {1, 1}, Dtype::f64, std::vector<double>{1}));
    CHECK_THROWS_WITH(moe::ops::batch_norm(tape, one, w, b, running.mean, running.variance),
                      "[batch_norm] one row has no variance: got N = 1 in training, expected at least 2; hint: mode = \"eval\", or "
                      "query_norm = \"layer\"");
}
