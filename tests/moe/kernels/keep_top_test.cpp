#include "moe/kernels/keep_top.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <numeric>

using namespace engine;

namespace {

struct Sizes {
    Size N, F, K;
};

}  // namespace

TEST_CASE_DEVICES("keep_top keeps the k largest values of a row and lists them falling, equal ones by column; its gradient goes there") {
    for (Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f64}) {
        if (dtype == Dtype::f64 && exec.device.kind != DeviceKind::cpu) continue;
        for (auto [N, F, K] : {Sizes{1, 1, 1}, Sizes{3, 7, 7}, Sizes{67, 13, 5}, Sizes{33, 101, 1}, Sizes{0, 5, 2}, Sizes{35, 613, 257},
                               Sizes{5, 300, 300}}) {
            // Eighths, so that many are equal; every value is exact in every dtype.
            auto x = tests::random_values(N * F, 1), dy = tests::random_values(N * F, 2);
            for (double& value : x) value = std::round(8 * value) / 8;
            for (double& value : dy) value = std::round(8 * value) / 8;
            Tensor in = from_host(exec, {N, F}, dtype, x), grad = from_host(exec, {N, F}, dtype, dy), y(exec, {N, F}, dtype),
                   dx(exec, {N, F}, dtype), ids(exec, {N * K}, Dtype::i32);
            visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                moe::kernels::keep_top<D, T>(exec, y.rows<T>(), ids.data<std::int32_t>(), in.rows<T>(), K);
                moe::kernels::keep_top_backward<D, T>(exec, dx.rows<T>(), grad.rows<T>(), ids.data<std::int32_t>(), K);
            });
            std::vector<double> kept(x.size(), 0.0), passed(x.size(), 0.0);
            std::vector<std::int32_t> listed;
            for (Size n = 0; n < N; ++n) {
                auto at = [&](Size f) { return static_cast<std::size_t>(n * F + f); };
                std::vector<std::int32_t> order(static_cast<std::size_t>(F));
                std::iota(order.begin(), order.end(), 0);
                std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return x[at(a)] > x[at(b)]; });
                order.resize(static_cast<std::size_t>(K));
                for (std::int32_t f : order) {
                    kept[at(f)] = x[at(f)];
                    passed[at(f)] = dy[at(f)];
                }
                listed.insert(listed.end(), order.begin(), order.end());
            }
            CHECK(to_host<std::int32_t>(exec, ids) == listed);
            CHECK(to_host<double>(exec, y) == kept);
            CHECK(to_host<double>(exec, dx) == passed);
        }
    }
}

TEST_CASE_DEVICES("NaN is kept last, and −0 is as large as 0") {
    double nan = std::nan("");
    Tensor in = from_host(exec, {2, 5}, Dtype::f32, std::vector<double>{nan, -1, nan, -2, 3, 0.0, -0.0, -5, 0.0, -0.0}),
           y(exec, {2, 5}, Dtype::f32), ids(exec, {6}, Dtype::i32);
    visit_device(
        exec, [&]<class D>(D) { moe::kernels::keep_top<D, float>(exec, y.rows<float>(), ids.data<std::int32_t>(), in.rows<float>(), 3); });
    CHECK(to_host<std::int32_t>(exec, ids) == std::vector<std::int32_t>{4, 1, 3, 0, 1, 3});
}
