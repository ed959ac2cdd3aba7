// Kernels that move memory more than they compute, and attention.
#include "apps/bench_cases.h"
#include "engine/base/error.h"
#include "engine/base/visit.h"
#include "engine/kernels/activation.h"
#include "engine/kernels/adamw.h"
#include "engine/kernels/cross_entropy.h"
#include "engine/kernels/layer_norm.h"
#include "engine/kernels/step_scalars.h"
#include "engine/kernels/xl_attention.h"
#include "engine/tensor/transfer.h"

namespace apps {

using namespace engine;

namespace {

double size_of(Size elements, Dtype dtype) { return static_cast<double>(elements * element_bytes(dtype)); }

BenchCase norm(Size N, Size C, bool backward, Dtype dtype) {
    BenchCase result{
        "layer_norm", fmt::format("{}x{}{}", N, C, backward ? ", backward" : ""), dtype, 0, size_of(N * C * (backward ? 3 : 2), dtype),
        nullptr};
    result.prepare = [=](Exec& exec) -> std::function<void()> {
        Dtype wide = sum_dtype(dtype);
        Tensor x = random_tensor(exec, {N, C}, dtype, 1), y(exec, {N, C}, dtype), dy = random_tensor(exec, {N, C}, dtype, 2);
        Tensor w = random_tensor(exec, {C}, dtype, 3), mean = random_tensor(exec, {N}, wide, 4), rate = random_tensor(exec, {N}, wide, 5);
        Tensor dw(exec, {2, C}, wide);
        return [=, &exec] {
            visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                using S = Sum<T>;
                if (!backward) {
                    return kernels::layer_norm<D, T>(exec, y.rows<T>(), mean.data<S>(), rate.data<S>(), x.rows<T>(), w.data<T>(),
                                                     w.data<T>(), 1e-5);
                }
                kernels::layer_norm_backward<D, T>(exec, y.rows<T>(), false, dy.rows<T>(), x.rows<T>(), w.data<T>(), mean.data<S>(),
                                                   rate.data<S>());
                kernels::layer_norm_weight_gradient<D, T>(exec, dw.data<S>(), dw.rows<S>().row(1), dy.rows<T>(), x.rows<T>(),
                                                          mean.data<S>(), rate.data<S>(), false);
            });
        };
    };
    return result;
}

BenchCase activate(Size N, Size F, kernels::Activation kind, const char* name, bool backward, Dtype dtype) {
    BenchCase result{"activation",
                     fmt::format("{} {}x{}{}", name, N, F, backward ? ", backward" : ""),
                     dtype,
                     0,
                     size_of(N * F * (backward ? 3 : 2), dtype),
                     nullptr};
    result.prepare = [=](Exec& exec) -> std::function<void()> {
        Tensor x = random_tensor(exec, {N, F}, dtype, 1), y(exec, {N, F}, dtype), dy = random_tensor(exec, {N, F}, dtype, 2);
        return [=, &exec] {
            visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                if (!backward) return kernels::activation<D, T>(exec, y.rows<T>(), x.rows<T>(), {}, kind);
                kernels::activation_backward<D, T>(exec, y.rows<T>(), {}, nullptr, dy.rows<T>(), x.rows<T>(), {}, nullptr, kind);
            });
        };
    };
    return result;
}

// Loss and gradient in place.
BenchCase loss(Size N, Size V) {
    BenchCase result{"cross_entropy", fmt::format("{}x{}, forward + backward", N, V), Dtype::f32, 0, size_of(3 * N * V, Dtype::f32),
                     nullptr};
    result.prepare = [=](Exec& exec) -> std::function<void()> {
        Tensor z = random_tensor(exec, {N, V}, Dtype::f32, 1), each(exec, {N}, Dtype::f32), lse(exec, {N}, Dtype::f32);
        std::vector<std::int32_t> wanted(static_cast<std::size_t>(N));
        for (std::size_t n = 0; n < wanted.size(); ++n) wanted[n] = static_cast<std::int32_t>(n * 37 % static_cast<std::size_t>(V));
        Tensor target = from_host(exec, {N}, Dtype::i32, wanted);
        return [=, &exec] {
            visit_device(exec, [&]<class D>(D) {
                kernels::cross_entropy<D, float>(exec, each.data<float>(), lse.data<float>(), z.rows<float>(), target.data<std::int32_t>());
                kernels::cross_entropy_backward<D, float>(exec, z.rows<float>(), lse.data<float>(), target.data<std::int32_t>(), 1.0);
            });
        };
    };
    return result;
}

BenchCase attention(const kernels::XlAttentionShape& s, bool backward, Dtype dtype) {
    // Visible pairs only; backward recomputes the scores: 2 products forward become 7.
    double pairs =
        static_cast<double>(s.B * s.H) * static_cast<double>(s.T) * (static_cast<double>(s.S - s.T) + static_cast<double>(s.T + 1) / 2);
    BenchCase result{"xl_attention",
                     fmt::format("B{} T{} S{} H{} Sh{}{}", s.B, s.T, s.S, s.H, s.Sh, backward ? ", backward" : ""),
                     dtype,
                     pairs * static_cast<double>(s.Sh) * (backward ? 16 : 6),
                     0,
                     nullptr};
    result.prepare = [=](Exec& exec) -> std::function<void()> {
        Size F = s.H * s.Sh;
        Dtype wide = sum_dtype(dtype);
        Tensor q = random_tensor(exec, {s.B * s.T, F}, dtype, 1), k = random_tensor(exec, {s.B * s.S, F}, dtype, 2);
        Tensor v = random_tensor(exec, {s.B * s.S, F}, dtype, 3), r = random_tensor(exec, {s.S, F}, dtype, 4);
        Tensor u = random_tensor(exec, {F}, dtype, 5), position = random_tensor(exec, {F}, dtype, 6);
        Tensor scale = from_host(exec, {1}, dtype, std::vector<double>{0.125}), y(exec, q.shape(), dtype),
               lse(exec, {s.B * s.H * s.T}, wide);
        Tensor dy = random_tensor(exec, q.shape(), dtype, 7), dq(exec, q.shape(), dtype), dk(exec, k.shape(), dtype),
               dv(exec, k.shape(), dtype);
        Tensor dr(exec, r.shape(), wide), sums(exec, {2 * F + 1}, wide);
        auto forward = [=, &exec] {
            visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                kernels::XlAttentionInputs<T> in{q.rows<T>(), k.rows<T>(),        v.rows<T>(),    r.rows<T>(),
                                                 u.data<T>(), position.data<T>(), scale.data<T>()};
                kernels::xl_attention<D, T>(exec, y.rows<T>(), lse.data<Sum<T>>(), in, s);
            });
        };
        if (!backward) return forward;
        forward();
        return [=, &exec] {
            visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                using S = Sum<T>;
                kernels::XlAttentionInputs<T> in{q.rows<T>(), k.rows<T>(),        v.rows<T>(),    r.rows<T>(),
                                                 u.data<T>(), position.data<T>(), scale.data<T>()};
                S* biases = sums.data<S>();
                kernels::XlAttentionGradients<T> out{dq.rows<T>(), dk.rows<T>(), dv.rows<T>(), false,      false,
                                                     false,        dr.rows<S>(), biases,       biases + F, biases + 2 * F};
                kernels::xl_attention_backward<D, T>(exec, out, dy.rows<T>(), lse.data<S>(), in, s, 0, s.B);
            });
        };
    };
    return result;
}

BenchCase update(Size elements) {
    BenchCase result{"adamw", fmt::format("{} parameters", elements), Dtype::f32, 0, size_of(7 * elements, Dtype::f32), nullptr};
    result.prepare = [=](Exec& exec) -> std::function<void()> {
        Tensor w = random_tensor(exec, {elements}, Dtype::f32, 1), g = random_tensor(exec, {elements}, Dtype::f32, 2);
        Tensor m = zeros(exec, {elements}, Dtype::f32), v = zeros(exec, {elements}, Dtype::f32);
        Tensor memory(exec, {sizeof(StepScalars) / 8}, Dtype::i64);
        auto* scalars = static_cast<StepScalars*>(memory.address());
        StepScalars values{.learning_rate = 1e-4f, .bias_correction1 = 0.1f, .bias_correction2 = 0.1f};
        visit_device(exec, [&]<class D>(D) { kernels::write_scalars<D>(exec, scalars, values); });
        return [=, &exec] {
            exec.scalars = static_cast<const StepScalars*>(memory.address());
            visit_device(exec, [&]<class D>(D) {
                kernels::adamw<D, float>(exec, w.data<float>(), g.data<float>(), m.data<float>(), v.data<float>(), elements,
                                         {0.9, 0.999, 1e-8, 1.0, 0.01});
            });
        };
    };
    return result;
}

}  // namespace

std::vector<BenchCase> kernel_cases() {
    using kernels::Activation;
    std::vector<BenchCase> cases;
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (bool backward : {false, true}) {
            cases.push_back(norm(2048, 256, backward, dtype));
            cases.push_back(norm(8192, 512, backward, dtype));
        }
    }
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (bool backward : {false, true}) {
            cases.push_back(activate(8192, 2048, Activation::relu, "relu", backward, dtype));
            cases.push_back(activate(8192, 2048, Activation::gelu, "gelu", backward, dtype));
        }
    }
    cases.push_back(loss(2048, 256));
    cases.push_back(loss(4096, 8000));
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (bool backward : {false, true}) {
            cases.push_back(attention({8, 256, 512, 4, 64}, backward, dtype));
            cases.push_back(attention({4, 512, 1024, 8, 64}, backward, dtype));
        }
    }
    cases.push_back(update(5'300'000));
    cases.push_back(update(41'000'000));
    return cases;
}

}  // namespace apps
