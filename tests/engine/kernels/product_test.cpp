#include "engine/kernels/product.h"

#include "engine/base/cpu_level.h"
#include "engine/base/threads.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using kernels::Layout;

namespace {

struct Operands {
    Size M, N, K;
    Tensor a, b;
    Layout layout_a, layout_b;
};

Operands operands(Exec& exec, Dtype dtype, Size M, Size N, Size K, Layout layout_a, Layout layout_b) {
    Shape shape_a = layout_a == Layout::normal ? Shape{M, K} : Shape{K, M},
          shape_b = layout_b == Layout::normal ? Shape{K, N} : Shape{N, K};
    return {M,
            N,
            K,
            from_host(exec, shape_a, dtype, tests::random_values(M * K, 1)),
            from_host(exec, shape_b, dtype, tests::random_values(N * K, 2)),
            layout_a,
            layout_b};
}

Tensor multiply(Exec& exec, const Operands& o, Tensor c, bool add, const Tensor& bias = Tensor()) {
    visit(exec, o.a.dtype(), [&]<class D, class T>(On<D, T>) {
        const T* row = bias.defined() ? bias.data<T>() : nullptr;
        if (c.dtype() == o.a.dtype()) {
            kernels::product<D, T, T>(exec, c.rows<T>(), o.a.rows<T>(), o.layout_a, o.b.rows<T>(), o.layout_b, add, row);
        } else if constexpr (std::is_same_v<T, bf16>) {
            kernels::product<D, bf16, float>(exec, c.rows<float>(), o.a.rows<T>(), o.layout_a, o.b.rows<T>(), o.layout_b, add, row);
        }
    });
    return c;
}

// Worst |c − exact| / Σ|terms| over all elements.
double worst_error(Exec& exec, const Operands& o, const Tensor& c, const std::vector<double>& start, const std::vector<double>& bias) {
    auto a = to_host<double>(exec, o.a), b = to_host<double>(exec, o.b), got = to_host<double>(exec, c);
    double worst = 0;
    for (Size i = 0; i < o.M; ++i) {
        for (Size j = 0; j < o.N; ++j) {
            std::size_t at = static_cast<std::size_t>(i * o.N + j);
            double sum = start.empty() ? 0 : start[at], size = std::abs(sum);
            if (!bias.empty()) sum += bias[static_cast<std::size_t>(j)], size += std::abs(bias[static_cast<std::size_t>(j)]);
            for (Size k = 0; k < o.K; ++k) {
                double term = a[static_cast<std::size_t>(o.layout_a == Layout::normal ? i * o.K + k : k * o.M + i)] *
                              b[static_cast<std::size_t>(o.layout_b == Layout::normal ? k * o.N + j : j * o.K + k)];
                sum += term;
                size += std::abs(term);
            }
            worst = std::max(worst, std::abs(got[at] - sum) / (size + 1e-30));
        }
    }
    return worst;
}

constexpr Layout kLayouts[] = {Layout::normal, Layout::transposed};

}  // namespace

TEST_CASE_DEVICES("product equals its formula in every layout, at odd and tiny sizes, with add and bias") {
    struct Sizes {
        Size M, N, K;
    };
    for (auto [M, N, K] : {Sizes{1, 1, 1}, Sizes{3, 5, 7}, Sizes{13, 31, 17}, Sizes{29, 33, 15}, Sizes{16, 48, 1}, Sizes{5, 100, 9},
                           Sizes{5, 3, 401}, Sizes{3, 5, 1101}}) {
        for (Layout la : kLayouts) {
            for (Layout lb : kLayouts) {
                Operands o = operands(exec, Dtype::f32, M, N, K, la, lb);
                auto start = tests::random_values(M * N, 3), bias = tests::random_values(N, 4);
                // A chain of K fused multiply-adds in fp32: at most (K + 2)·2⁻²⁴ of Σ|terms|; start and bias are rounded once.
                double bound = static_cast<double>(K + 4) * 0x1p-24;
                Tensor plain = multiply(exec, o, Tensor(exec, {M, N}, Dtype::f32), false);
                CHECK(worst_error(exec, o, plain, {}, {}) <= bound);
                Tensor added = multiply(exec, o, from_host(exec, {M, N}, Dtype::f32, start), true, from_host(exec, {N}, Dtype::f32, bias));
                CHECK(worst_error(exec, o, added, start, bias) <= bound);
            }
        }
    }
}

TEST_CASE_DEVICES("product of bf16 sums in fp32 and rounds once") {
    for (Layout la : kLayouts) {
        for (Layout lb : kLayouts) {
            Operands o = operands(exec, Dtype::bf16, 37, 41, 67, la, lb);
            Tensor wide = multiply(exec, o, Tensor(exec, {37, 41}, Dtype::f32), false);
            CHECK(worst_error(exec, o, wide, {}, {}) <= 71 * 0x1p-24);
            Tensor narrow = multiply(exec, o, Tensor(exec, {37, 41}, Dtype::bf16), false);
            // One rounding to 8 bits, of a value that is at most Σ|terms|.
            CHECK(worst_error(exec, o, narrow, {}, {}) <= 71 * 0x1p-24 + 0x1p-8);
        }
    }
}

TEST_CASE_DEVICES("a product that fills a device is right at its edges, and its rows have the bits that each has alone") {
    // Small and large tiles (engine/kernels/tile_product.cuh); a GPU takes large ones where they fill it.
    auto [M, N] = exec.device.kind == DeviceKind::cuda ? std::pair<Size, Size>{1301, 1290} : std::pair<Size, Size>{150, 131};
    Size K = 70;
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (Layout la : kLayouts) {
            for (Layout lb : kLayouts) {
                Operands o = operands(exec, dtype, M, N, K, la, lb);
                auto start = tests::random_values(M * N, 3);
                Tensor c = multiply(exec, o, from_host(exec, {M, N}, Dtype::f32, start), true);
                CHECK(worst_error(exec, o, c, start, {}) <= static_cast<double>(K + 4) * 0x1p-24);
                if (la == Layout::transposed) continue;
                Tensor plain = multiply(exec, o, Tensor(exec, {M, N}, Dtype::f32), false);
                for (Size i : {Size{0}, Size{77}, M - 1}) {
                    Operands alone = o;
                    alone.M = 1;
                    alone.a = o.a.row_range(i, 1);
                    CHECK(to_host<float>(exec, multiply(exec, alone, Tensor(exec, {1, N}, Dtype::f32), false)) ==
                          to_host<float>(exec, plain.row_range(i, 1)));
                }
            }
        }
    }
}

TEST_CASE("product in double is right to double's rounding") {
    Exec exec;
    for (Layout la : kLayouts) {
        for (Layout lb : kLayouts) {
            Operands o = operands(exec, Dtype::f64, 23, 37, 129, la, lb);
            CHECK(worst_error(exec, o, multiply(exec, o, Tensor(exec, {23, 37}, Dtype::f64), false), {}, {}) <= 131 * 0x1p-53);
        }
    }
}

TEST_CASE("a row of a product has the same bits alone, among others, and at any number of threads") {
    Exec exec;
    for (Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f64}) {
        Operands o = operands(exec, dtype, 203, 77, 450, Layout::normal, Layout::transposed);
        set_threads(1);
        auto one = to_host<double>(exec, multiply(exec, o, Tensor(exec, {203, 77}, dtype), false));
        for (int count : {2, 3, 5}) {
            set_threads(count);
            CHECK(to_host<double>(exec, multiply(exec, o, Tensor(exec, {203, 77}, dtype), false)) == one);
        }
        for (Size i : {0, 13, 14, 100, 202}) {
            Operands alone = o;
            alone.M = 1;
            alone.a = o.a.row_range(i, 1);
            auto row = to_host<double>(exec, multiply(exec, alone, Tensor(exec, {1, 77}, dtype), false));
            CHECK(row == std::vector<double>(one.begin() + i * 77, one.begin() + (i + 1) * 77));
        }
    }
    set_threads(2);
}

TEST_CASE("an element is one chain of fused multiply-adds over k in order, to the bit, however the product is cut") {
    Exec exec;
    // Wide and deep enough for several blocks of k, several chunks, and edges on every side; the second has narrow last panels.
    struct Sizes {
        Size M, N, K;
    };
    for (auto [M, N, K] : {Sizes{17, 2100, 1101}, Sizes{185, 75, 70}, Sizes{31, 16, 1200}}) {
        for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
            for (auto [la, add] : {std::pair{Layout::normal, true}, {Layout::transposed, true}, {Layout::transposed, false}}) {
                Operands o = operands(exec, dtype, M, N, K, la, Layout::normal);
                auto start = tests::random_values(M * N, 3);
                auto c = to_host<float>(exec, multiply(exec, o, from_host(exec, {M, N}, Dtype::f32, start), add));
                auto a = to_host<float>(exec, o.a), b = to_host<float>(exec, o.b);
                Size wrong = 0;
                for (Size i = 0; i < M; ++i) {
                    for (Size j = 0; j < N; ++j) {
                        float sum = add ? static_cast<float>(start[static_cast<std::size_t>(i * N + j)]) : 0.0f;
                        for (Size k = 0; k < K; ++k) {
                            float left = a[static_cast<std::size_t>(la == Layout::normal ? i * K + k : k * M + i)];
                            float right = b[static_cast<std::size_t>(k * N + j)];
                            // The base level has no fused multiply-add.
                            sum = cpu_level() == CpuLevel::base ? sum + left * right : std::fma(left, right, sum);
                        }
                        wrong += sum != c[static_cast<std::size_t>(i * N + j)];
                    }
                }
                CHECK(wrong == 0);
            }
        }
    }
}

TEST_CASE_DEVICES("a product over nothing is zero, and no rows are no work") {
    Operands o = operands(exec, Dtype::f32, 3, 4, 0, Layout::normal, Layout::normal);
    Tensor c = multiply(exec, o, from_host(exec, {3, 4}, Dtype::f32, tests::random_values(12, 1)), false);
    CHECK(to_host<float>(exec, c) == std::vector<float>(12, 0.0f));
    Operands none = operands(exec, Dtype::f32, 0, 4, 3, Layout::normal, Layout::normal);
    multiply(exec, none, Tensor(exec, {0, 4}, Dtype::f32), false);
}

// Then columns too are shared out among the threads.
TEST_CASE_DEVICES("product with more threads than blocks of rows still meets its bias") {
    set_threads(3);
    Operands o = operands(exec, Dtype::f32, 3, 200, 5, Layout::normal, Layout::normal);
    auto bias = tests::random_values(200, 4);
    Tensor c = multiply(exec, o, Tensor(exec, {3, 200}, Dtype::f32), false, from_host(exec, {200}, Dtype::f32, bias));
    // Seven roundings in fp32, each of at most 2⁻²⁴ of Σ|terms|.
    CHECK(worst_error(exec, o, c, {}, bias) <= 7 * 0x1p-24);
    set_threads(2);
}
