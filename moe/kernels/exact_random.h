#pragma once
// Normal and Gumbel numbers from 32 random bits, in plain arithmetic: the same bits on every device, as choices depend on them.
#include "engine/base/dtype.h"
#include "engine/base/here.h"

#include <bit>
#include <cmath>

namespace moe::kernels::inline ENGINE_DEVICE {

// ln x of a positive normal x: 2·artanh((m−1)/(m+1)) by its series for a mantissa m in [√½, √2), to 1e-14.
ENGINE_BOTH inline double exact_log(double x) {
    std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
    int power = static_cast<int>(bits >> 52) - 1022;
    double m = std::bit_cast<double>((bits & 0xfffffffffffffull) | 0x3fe0000000000000ull);
    if (m < 0.70710678118654752) {
        m *= 2;
        --power;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int i = 19; i >= 1; i -= 2) sum = sum * square + 1.0 / i;
    return static_cast<double>(power) * 0.69314718055994530942 + 2 * s * sum;
}

// In (0, 1): the middle of one of 2³² equal parts.
ENGINE_BOTH inline double open_uniform(std::uint32_t bits) { return (static_cast<double>(bits) + 0.5) * 0x1p-32; }

// The inverse of the normal distribution function at the uniform: Wichura 1988, AS 241, PPND7, right to 1e-7.
ENGINE_BOTH inline double exact_normal(std::uint32_t bits) {
    double p = open_uniform(bits), q = p - 0.5;
    if (q <= 0.425 && q >= -0.425) {
        double r = 0.180625 - q * q;
        return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179) /
               (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0);
    }
    double r = sqrt(-exact_log(q < 0 ? p : 1 - p)) - 1.6;  // at most 4.8 − 1.6: the far tail has no bits here
    double value =
        (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) / ((0.12021132975 * r + 0.73700164250) * r + 1.0);
    return q < 0 ? -value : value;
}

// −ln(−ln u).
ENGINE_BOTH inline double exact_gumbel(std::uint32_t bits) { return -exact_log(-exact_log(open_uniform(bits))); }

}  // namespace moe::kernels::inline ENGINE_DEVICE
