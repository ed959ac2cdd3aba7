#pragma once
// Transcendental functions for CPU loops: without branches, so that GCC turns the loop around them into vector code. Double uses the
// standard library.
#include "engine/base/dtype.h"
#include "engine/base/here.h"

#include <bit>
#include <cmath>

namespace engine::kernels::inline ENGINE_DEVICE {

// e^x = fraction·2^whole for −87 ≤ x ≤ 88.72 (Cody–Waite reduction, Taylor to degree 6 on ±ln2/2).
struct ExpParts {
    float fraction;
    std::int32_t whole;
};
ENGINE_BOTH inline ExpParts exp_parts(float x) {
    float shifted = x * 1.44269504f + 12582912.0f;  // 1.5·2²³: the sum's low bits are the nearest integer
    float n = shifted - 12582912.0f;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return {p, std::bit_cast<std::int32_t>(shifted) - 0x4B400000};
}

// e^x to 2 ulp; 0 below −87, infinity above 88.7.
ENGINE_BOTH inline float exp_of(float x) {
    ExpParts parts = exp_parts(x < -87.0f ? -87.0f : x > 88.72f ? 88.72f : x);
    // 2ⁿ in two factors, so that n = 128 does not overflow on the way.
    std::int32_t half = parts.whole >> 1;
    float scale1 = std::bit_cast<float>((half + 127) << 23), scale2 = std::bit_cast<float>((parts.whole - half + 127) << 23);
    float y = parts.fraction * scale1 * scale2;
    y = x < -87.0f ? 0.0f : y;
    y = x > 88.72f ? INFINITY : y;
    return x != x ? x : y;
}
ENGINE_BOTH inline double exp_of(double x) { return std::exp(x); }

// The same for x ≤ 88, without the tests of what lies above: two thirds of the instructions.
inline float exp_of_at_most_88(float x) {
    ExpParts parts = exp_parts(x < -87.0f ? -87.0f : x);
    float y = parts.fraction * std::bit_cast<float>((parts.whole + 127) << 23);
    return x < -87.0f ? 0.0f : y;
}
inline double exp_of_at_most_88(double x) { return std::exp(x); }

template <class S>
inline S sigmoid_of(S x) {
    return S(1) / (S(1) + exp_of(-x));
}

// (e²ˣ − 1)/(e²ˣ + 1); near 0, where that cancels, x − x³/3 + 2x⁵/15.
inline float tanh_of(float x) {
    float e = exp_of(2.0f * (x > 9.0f ? 9.0f : x < -9.0f ? -9.0f : x));
    float far = (e - 1.0f) / (e + 1.0f), square = x * x;
    float near = x * (1.0f + square * (-1.0f / 3.0f + square * (2.0f / 15.0f - square * (17.0f / 315.0f))));
    return (x < 0.25f && x > -0.25f) ? near : far;
}
inline double tanh_of(double x) { return std::tanh(x); }

// Near 0 x·P(x²), beyond 1 1 − e^{−x²}·Q(1/(1 + |x|)); P and Q are fitted to 2·10⁻⁹ and 8·10⁻⁹ of the value, so the result is right to a
// few roundings. 14 times as fast in a loop (GELU) as the standard library's.
inline float erf_of(float x) {
    float size = x < 0.0f ? -x : x, square = x * x;
    float p = 7.853860734e-05f;
    p = p * square - 8.010193706e-04f;
    p = p * square + 5.188327748e-03f;
    p = p * square - 2.685381286e-02f;
    p = p * square + 1.128358543e-01f;
    p = p * square - 3.761262596e-01f;
    p = p * square + 1.128379107e+00f;
    float t = 1.0f / (1.0f + size);
    float q = -6.466666460e-01f;
    q = q * t + 1.408016563e+00f;
    q = q * t - 7.245076299e-01f;
    q = q * t - 5.709966421e-01f;
    q = q * t + 4.079885483e-01f;
    q = q * t + 5.386742353e-01f;
    q = q * t + 5.668141842e-01f;
    q = q * t - 1.106506170e-04f;
    float far = 1.0f - exp_of_at_most_88(-square) * q;
    far = size > 5.0f ? 1.0f : far;  // also where the square is infinite
    float y = size < 1.0f ? size * p : far;
    y = x < 0.0f ? -y : y;
    return x != x ? x : y;
}
inline double erf_of(double x) { return std::erf(x); }

}  // namespace engine::kernels::inline ENGINE_DEVICE
