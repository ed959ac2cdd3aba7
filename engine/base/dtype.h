#pragma once
// Element types and how they convert. No header above the standard library: kernels reach this file.
#include <cstdint>
#include <cstring>
#include <type_traits>

#ifdef __CUDACC__
#define ENGINE_BOTH __host__ __device__
#else
#define ENGINE_BOTH
#endif

namespace engine {

using Size = std::int64_t;

// Brain float: the upper half of an fp32. Trivial, so that it may live in shared memory.
struct bf16 {
    std::uint16_t bits;
};

ENGINE_BOTH inline float to_float(bf16 value) {
    std::uint32_t wide = static_cast<std::uint32_t>(value.bits) << 16;
    float result;
    memcpy(&result, &wide, sizeof result);
    return result;
}

// Rounds to nearest, ties to even; NaN stays NaN.
ENGINE_BOTH inline bf16 to_bf16(float value) {
    std::uint32_t wide;
    memcpy(&wide, &value, sizeof wide);
    std::uint32_t rounded = (wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;
    bool is_nan = (wide & 0x7fffffffu) > 0x7f800000u;
    return {static_cast<std::uint16_t>(is_nan ? (wide >> 16) | 0x40u : rounded)};
}

enum class Dtype : std::uint8_t { f32, f64, bf16, i32, i64 };

// What sums of T are kept in: float for float and bf16, double for double.
template <class T>
using Sum = std::conditional_t<std::is_same_v<std::remove_cv_t<T>, double>, double, float>;

ENGINE_BOTH inline float load(float value) { return value; }
ENGINE_BOTH inline double load(double value) { return value; }
ENGINE_BOTH inline float load(bf16 value) { return to_float(value); }

template <class T>
ENGINE_BOTH inline T store(Sum<T> value) {
    if constexpr (std::is_same_v<T, bf16>) {
        return to_bf16(value);
    } else {
        return value;
    }
}

template <class T>
constexpr Dtype dtype_of() {
    using U = std::remove_cv_t<T>;
    if constexpr (std::is_same_v<U, float>) return Dtype::f32;
    if constexpr (std::is_same_v<U, double>) return Dtype::f64;
    if constexpr (std::is_same_v<U, bf16>) return Dtype::bf16;
    if constexpr (std::is_same_v<U, std::int32_t>) return Dtype::i32;
    if constexpr (std::is_same_v<U, std::int64_t>) return Dtype::i64;
}

constexpr Size element_bytes(Dtype dtype) { return dtype == Dtype::bf16 ? 2 : dtype == Dtype::f64 || dtype == Dtype::i64 ? 8 : 4; }
constexpr bool is_floating(Dtype dtype) { return dtype == Dtype::f32 || dtype == Dtype::f64 || dtype == Dtype::bf16; }
// The dtype of Sum<T>.
constexpr Dtype sum_dtype(Dtype dtype) { return dtype == Dtype::f64 ? Dtype::f64 : Dtype::f32; }

const char* dtype_name(Dtype dtype);

}  // namespace engine
