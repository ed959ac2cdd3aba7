#pragma once
// The widest vectors of the instruction set that this file is compiled for.
#include "engine/base/dtype.h"
#include "engine/base/here.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace engine::kernels::tile::inline ENGINE_DEVICE {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class S>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(S));

template <class S>
using Vector [[gnu::vector_size(kVectorBytes), gnu::may_alias]] = S;

template <class S>
inline Vector<S> load_vector(const S* from) {
    Vector<S> result;
    __builtin_memcpy(&result, from, kVectorBytes);
    return result;
}
template <class S>
inline void store_vector(S* to, const Vector<std::type_identity_t<S>>& value) {
    __builtin_memcpy(to, &value, kVectorBytes);
}

// The first `count` lanes only (none below 0, at most all); the other lanes are 0 and their memory is not touched.
#if defined(__AVX512F__)
inline __mmask16 lanes_mask(Size count) { return static_cast<__mmask16>(count >= 16 ? 0xffffu : count <= 0 ? 0u : (1u << count) - 1u); }
inline Vector<float> load_part(const float* from, Size count) {
    return reinterpret_cast<Vector<float>>(_mm512_maskz_loadu_ps(lanes_mask(count), from));
}
inline void store_part(float* to, const Vector<float>& value, Size count) {
    _mm512_mask_storeu_ps(to, lanes_mask(count), reinterpret_cast<__m512>(value));
}
inline Vector<double> load_part(const double* from, Size count) {
    return reinterpret_cast<Vector<double>>(_mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes_mask(count < 8 ? count : 8)), from));
}
inline void store_part(double* to, const Vector<double>& value, Size count) {
    _mm512_mask_storeu_pd(to, static_cast<__mmask8>(lanes_mask(count < 8 ? count : 8)), reinterpret_cast<__m512d>(value));
}
#else
template <class S>
inline Vector<S> load_part(const S* from, Size count) {
    Vector<S> result{};
    for (int j = 0; j < kLanes<S> && j < count; ++j) result[j] = from[j];
    return result;
}
template <class S>
inline void store_part(S* to, const Vector<std::type_identity_t<S>>& value, Size count) {
    for (int j = 0; j < kLanes<S> && j < count; ++j) to[j] = value[j];
}
#endif

inline Vector<float> broadcast(float value) {
#if defined(__AVX512F__)
    return reinterpret_cast<Vector<float>>(_mm512_set1_ps(value));
#elif defined(__AVX2__)
    return reinterpret_cast<Vector<float>>(_mm256_set1_ps(value));
#else
    return Vector<float>{value, value, value, value};
#endif
}
inline Vector<double> broadcast(double value) {
#if defined(__AVX512F__)
    return reinterpret_cast<Vector<double>>(_mm512_set1_pd(value));
#elif defined(__AVX2__)
    return reinterpret_cast<Vector<double>>(_mm256_set1_pd(value));
#else
    return Vector<double>{value, value};
#endif
}

// a·b + c, rounded once where the processor has fused multiply-adds.
inline Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
#if defined(__AVX512F__)
    return reinterpret_cast<Vector<float>>(
        _mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#elif defined(__AVX2__)
    return reinterpret_cast<Vector<float>>(
        _mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
#else
    return a * b + c;
#endif
}
inline Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
#if defined(__AVX512F__)
    return reinterpret_cast<Vector<double>>(
        _mm512_fmadd_pd(reinterpret_cast<__m512d>(a), reinterpret_cast<__m512d>(b), reinterpret_cast<__m512d>(c)));
#elif defined(__AVX2__)
    return reinterpret_cast<Vector<double>>(
        _mm256_fmadd_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b), reinterpret_cast<__m256d>(c)));
#else
    return a * b + c;
#endif
}

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE
