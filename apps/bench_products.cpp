// Dense and grouped products at the shapes of the layers that we train.
#include "apps/bench_cases.h"
#include "engine/base/error.h"
#include "engine/base/visit.h"
#include "engine/kernels/grouped_product.h"
#include "engine/tensor/transfer.h"
#include "moe/kernels/route_sort.h"

namespace apps {

using namespace engine;
using kernels::Layout;

namespace {

BenchCase dense(Size M, Size N, Size K, Layout a, Layout b, Dtype dtype, const char* what) {
    auto letter = [](Layout layout) { return layout == Layout::normal ? 'N' : 'T'; };
    BenchCase result{"product",
                     fmt::format("{}x{}x{} {}{} {}", M, N, K, letter(a), letter(b), what),
                     dtype,
                     2.0 * static_cast<double>(M * N * K),
                     static_cast<double>((M * K + K * N + M * N) * element_bytes(dtype)),
                     nullptr};
    result.prepare = [=](Exec& exec) -> std::function<void()> {
        Tensor left = random_tensor(exec, a == Layout::normal ? Shape{M, K} : Shape{K, M}, dtype, 1);
        Tensor right = random_tensor(exec, b == Layout::normal ? Shape{K, N} : Shape{N, K}, dtype, 2);
        // A weight's gradient is summed in fp32.
        Tensor out(exec, {M, N}, a == Layout::transposed ? Dtype::f32 : dtype);
        return [=, &exec] {
            visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                if (out.dtype() == dtype) {
                    kernels::product<D, T, T>(exec, out.rows<T>(), left.rows<T>(), a, right.rows<T>(), b, false);
                } else if constexpr (std::is_same_v<T, bf16>) {
                    kernels::product<D, T, float>(exec, out.rows<float>(), left.rows<T>(), a, right.rows<T>(), b, false);
                }
            });
        };
    };
    return result;
}

struct Experts {
    Size N, C, E, G, K;
};

// A routing that is even but in no order, as a trained router's.
struct Routed {
    Tensor ids, offsets, token, position, begin;
    kernels::Groups groups;

    Routed(Exec& exec, const Experts& s) {
        std::vector<std::int32_t> chosen;
        for (Size n = 0; n < s.N; ++n) {
            for (Size k = 0; k < s.K; ++k) chosen.push_back(static_cast<std::int32_t>((n * 7 + n / 5 + k * (s.E / s.K)) % s.E));
        }
        Size R = s.N * s.K;
        ids = from_host(exec, {R}, Dtype::i32, chosen);
        offsets = Tensor(exec, {s.E + 1}, Dtype::i32), begin = Tensor(exec, {2 * s.E}, Dtype::i32);
        token = Tensor(exec, {R}, Dtype::i32), position = Tensor(exec, {R}, Dtype::i32);
        auto at = [](const Tensor& t) { return t.data<std::int32_t>(); };
        visit_device(exec, [&]<class D>(D) {
            moe::kernels::route_sort<D>(exec, {at(offsets), at(token), at(position), at(begin)}, at(ids), s.N, s.K, s.E, 1);
        });
        groups = {s.E, R, at(offsets), at(token), at(position), at(ids), s.K};
    }
};

enum class Grouped { gather, combine, weight };

BenchCase grouped(const Experts& s, Grouped kind, Dtype dtype) {
    const char* names[] = {"gather", "combine", "weight gradient"};
    Size R = s.N * s.K, weights = s.E * s.C * s.G;
    BenchCase result{"grouped",
                     fmt::format("{} N{} C{} E{} G{} K{}", names[static_cast<int>(kind)], s.N, s.C, s.E, s.G, s.K),
                     dtype,
                     2.0 * static_cast<double>(R * s.C * s.G),
                     static_cast<double>((s.N * s.C + R * s.G + weights) * element_bytes(dtype)),
                     nullptr};
    result.prepare = [=](Exec& exec) -> std::function<void()> {
        auto routed = std::make_shared<Routed>(exec, s);
        Tensor x = random_tensor(exec, {s.N, s.C}, dtype, 1), hidden = random_tensor(exec, {R, s.G}, dtype, 2);
        Tensor w = random_tensor(exec, {s.E * s.C, s.G}, dtype, 3), down = random_tensor(exec, {s.E * s.G, s.C}, dtype, 4);
        Tensor scale = random_tensor(exec, {R}, sum_dtype(dtype), 5), dw(exec, {s.E * s.C, s.G}, sum_dtype(dtype));
        return [=, &exec] {
            visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                const kernels::Groups& groups = routed->groups;
                const std::int32_t* begin = routed->begin.data<std::int32_t>();
                if (kind == Grouped::gather) {
                    kernels::grouped_gather_product<D, T>(exec, hidden.rows<T>(), x.rows<T>(), w.rows<T>(), Layout::normal, groups);
                } else if (kind == Grouped::combine) {
                    kernels::grouped_combine_product<D, T>(exec, x.rows<T>(), false, hidden.rows<T>(), scale.data<Sum<T>>(), down.rows<T>(),
                                                           Layout::normal, groups);
                } else {
                    kernels::grouped_weight_gradient<D, T>(exec, dw.rows<Sum<T>>(), false, x.rows<T>(), hidden.rows<T>(), true, nullptr,
                                                           begin, begin + s.E, groups);
                }
            });
        };
    };
    return result;
}

}  // namespace

std::vector<BenchCase> product_cases() {
    constexpr Layout N = Layout::normal, T = Layout::transposed;
    std::vector<BenchCase> cases;
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        cases.push_back(dense(2048, 2048, 2048, N, N, dtype, ""));
        cases.push_back(dense(8192, 512, 512, N, N, dtype, "layer, forward"));
        cases.push_back(dense(8192, 512, 512, N, T, dtype, "layer, dx"));
        cases.push_back(dense(512, 512, 8192, T, N, dtype, "layer, dw"));
        cases.push_back(dense(8192, 2048, 512, N, N, dtype, "wide layer, forward"));
        cases.push_back(dense(512, 2048, 8192, T, N, dtype, "wide layer, dw"));
        cases.push_back(dense(2048, 256, 256, N, N, dtype, "small layer, forward"));
        cases.push_back(dense(256, 256, 2048, T, N, dtype, "small layer, dw"));
        cases.push_back(dense(4096, 8000, 416, N, N, dtype, "head"));
        cases.push_back(dense(8192, 16, 512, N, N, dtype, "router"));
        cases.push_back(dense(512, 16, 8192, T, N, dtype, "router, dw"));
    }
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (Grouped kind : {Grouped::gather, Grouped::combine, Grouped::weight}) {
            cases.push_back(grouped({8192, 512, 16, 128, 4}, kind, dtype));
            cases.push_back(grouped({2048, 256, 16, 64, 4}, kind, dtype));
        }
    }
    return cases;
}

}  // namespace apps
