#pragma once
// Activations and their slopes, as functions of the value before. ReLU's slope at 0 is 0.
#include "engine/base/dtype.h"
#include "engine/base/here.h"
#include "engine/kernels/activation_kind.h"

#include <cmath>

#if defined(ENGINE_HERE_base) || defined(ENGINE_HERE_avx2) || defined(ENGINE_HERE_avx512)
#include "engine/kernels/vector_math.h"
#else
namespace engine::kernels::inline ENGINE_DEVICE {
template <class S>
ENGINE_BOTH inline S exp_of(S x) {
    return std::exp(x);
}
template <class S>
ENGINE_BOTH inline S tanh_of(S x) {
    return std::tanh(x);
}
template <class S>
ENGINE_BOTH inline S erf_of(S x) {
    return std::erf(x);
}
}  // namespace engine::kernels::inline ENGINE_DEVICE
#endif

namespace engine::kernels::inline ENGINE_DEVICE {

template <class S>
ENGINE_BOTH inline S activate(Activation kind, S x) {
    switch (kind) {
        case Activation::relu:
            return x > S(0) ? x : S(0);
        case Activation::gelu:
            return S(0.5) * x * (S(1) + erf_of(x * S(0.70710678118654752440)));
        case Activation::gelu_tanh:
            return S(0.5) * x * (S(1) + tanh_of(S(0.79788456080286535588) * (x + S(0.044715) * x * x * x)));
        case Activation::silu:
            return x / (S(1) + exp_of(-x));
        case Activation::identity:
            return x;
    }
    return x;
}

template <class S>
ENGINE_BOTH inline S activation_slope(Activation kind, S x) {
    switch (kind) {
        case Activation::relu:
            return x > S(0) ? S(1) : S(0);
        case Activation::gelu:
            return S(0.5) * (S(1) + erf_of(x * S(0.70710678118654752440))) + x * S(0.39894228040143267794) * exp_of(S(-0.5) * x * x);
        case Activation::gelu_tanh: {
            S t = tanh_of(S(0.79788456080286535588) * (x + S(0.044715) * x * x * x));
            return S(0.5) * (S(1) + t) + S(0.5) * x * (S(1) - t * t) * S(0.79788456080286535588) * (S(1) + S(3 * 0.044715) * x * x);
        }
        case Activation::silu: {
            S s = S(1) / (S(1) + exp_of(-x));
            return s * (S(1) + x * (S(1) - s));
        }
        case Activation::identity:
            return S(1);
    }
    return S(1);
}

}  // namespace engine::kernels::inline ENGINE_DEVICE
