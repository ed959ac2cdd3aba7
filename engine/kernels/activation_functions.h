#pragma once
// Activations and their slopes, as functions of the value before. ReLU's slope at 0 is 0.
#include "engine/base/dtype.h"
#include "engine/base/here.h"
#include "engine/kernels/activation_kind.h"

#include <cmath>

namespace engine::kernels::inline ENGINE_DEVICE {

template <class S>
ENGINE_BOTH inline S activate(Activation kind, S x) {
    switch (kind) {
        case Activation::relu:
            return x > S(0) ? x : S(0);
        case Activation::gelu:
            return S(0.5) * x * (S(1) + std::erf(x * S(0.70710678118654752440)));
        case Activation::gelu_tanh:
            return S(0.5) * x * (S(1) + std::tanh(S(0.79788456080286535588) * (x + S(0.044715) * x * x * x)));
        case Activation::silu:
            return x / (S(1) + std::exp(-x));
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
            return S(0.5) * (S(1) + std::erf(x * S(0.70710678118654752440))) + x * S(0.39894228040143267794) * std::exp(S(-0.5) * x * x);
        case Activation::gelu_tanh: {
            S t = std::tanh(S(0.79788456080286535588) * (x + S(0.044715) * x * x * x));
            return S(0.5) * (S(1) + t) + S(0.5) * x * (S(1) - t * t) * S(0.79788456080286535588) * (S(1) + S(3 * 0.044715) * x * x);
        }
        case Activation::silu: {
            S s = S(1) / (S(1) + std::exp(-x));
            return s * (S(1) + x * (S(1) - s));
        }
        case Activation::identity:
            return S(1);
    }
    return S(1);
}

}  // namespace engine::kernels::inline ENGINE_DEVICE
