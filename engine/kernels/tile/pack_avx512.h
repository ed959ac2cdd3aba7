#pragma once
// Packing of fp32 items and of bf16 pairs with 512-bit vectors. Reached through pack.h.
#include "engine/kernels/tile/pack.h"

namespace engine::kernels::tile::inline ENGINE_DEVICE {

inline __m512 load_sixteen(const float* from, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, from); }
inline __m512 load_sixteen(const bf16* from, __mmask16 mask) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from)), 16));
}

// Rounded to bf16, in the upper halves: to nearest, ties to even, as to_bf16() does.
inline __m512i rounded_to_bf16(__m512 value) {
    __m512i bits = _mm512_castps_si512(value), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_and_si512(rounded, _mm512_set1_epi32(static_cast<int>(0xffff0000)));
}
inline __m512 pairs_of(__m512 upper, __m512 lower) {
    return _mm512_castsi512_ps(_mm512_or_si512(rounded_to_bf16(upper), _mm512_srli_epi32(rounded_to_bf16(lower), 16)));
}

// Sixteen items along a row, of which `left` elements exist.
template <class I, class T>
inline __m512 row_items(const T* from, Size left, const Source<T>& source, float factor) {
    if constexpr (std::is_same_v<I, float>) {
        __m512 value = load_sixteen(from, lanes_mask(left));
        return source.scale != nullptr ? _mm512_mul_ps(value, _mm512_set1_ps(factor)) : value;
    } else if constexpr (std::is_same_v<T, bf16>) {
        // In memory the earlier element is the lower half.
        auto mask = static_cast<__mmask32>(left >= 32 ? ~0u : (1u << left) - 1u);
        __m512i pairs = _mm512_rol_epi32(_mm512_maskz_loadu_epi16(mask, from), 16);
        if (source.scale == nullptr) return _mm512_castsi512_ps(pairs);
        __m512 by = _mm512_set1_ps(factor), lower = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
        __m512 upper = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
        return pairs_of(_mm512_mul_ps(upper, by), _mm512_mul_ps(lower, by));
    } else {
        __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        __m512 by = _mm512_set1_ps(factor), a = _mm512_mul_ps(load_sixteen(from, lanes_mask(left)), by);
        __m512 b = _mm512_mul_ps(load_sixteen(from + 16, lanes_mask(left - 16)), by);
        return pairs_of(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b));
    }
}

// Items of sixteen neighbouring columns: one row of the source, or two as pairs (`lower` null: zeros).
template <class I, class T>
inline __m512 column_items(const T* upper, const T* lower, __mmask16 mask, const Source<T>& source, float factor, float lower_factor) {
    __m512 a = load_sixteen(upper, mask);
    if (source.scale != nullptr) a = _mm512_mul_ps(a, _mm512_set1_ps(factor));
    if constexpr (std::is_same_v<I, float>) return a;
    __m512 b = lower != nullptr ? load_sixteen(lower, mask) : _mm512_setzero_ps();
    if (source.scale != nullptr) b = _mm512_mul_ps(b, _mm512_set1_ps(lower_factor));
    if (std::is_same_v<T, bf16> && source.scale == nullptr) {
        return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(a), _mm512_srli_epi32(_mm512_castps_si512(b), 16)));
    }
    return pairs_of(a, b);
}

// Sixteen vectors as rows become sixteen columns.
inline void transpose16(__m512 (&r)[16]) {
    __m512 t[16];
    for (int i = 0; i < 8; ++i) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 2; ++j) {
            __m512d low = _mm512_castps_pd(t[4 * i + j]), high = _mm512_castps_pd(t[4 * i + 2 + j]);
            r[4 * i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            r[4 * i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    }
    for (int j = 0; j < 4; ++j) {
        __m512 a = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88), b = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xdd);
        __m512 c = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88), d = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xdd);
        t[j] = _mm512_shuffle_f32x4(a, c, 0x88);
        t[8 + j] = _mm512_shuffle_f32x4(a, c, 0xdd);
        t[4 + j] = _mm512_shuffle_f32x4(b, d, 0x88);
        t[12 + j] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
    for (int i = 0; i < 16; ++i) r[i] = t[i];
}

template <class T, class I>
inline void pack_transposed_avx512(I* to, int width, const Source<T>& source, Size first, Size count, Size k0, Size K) {
    constexpr Size kStep = 16 * kItemDepth<I>;
    for (int part = 0; part < width; part += 16) {
        __mmask16 lanes = lanes_mask(width - part);
        const T *rows[16], *ahead[16];
        float factors[16];
        for (int i = 0; i < 16; ++i) {
            bool exists = part + i < count && part + i < width;
            rows[i] = exists ? source.row(first + part + i) + k0 : nullptr;
            factors[i] = exists ? source.factor(first + part + i) : 0.0f;
            ahead[i] = width + part + i < count ? source.row(first + width + part + i) + k0 : nullptr;
        }
        for (Size k = 0; k < K; k += kStep) {
            __m512 r[16];
            for (int i = 0; i < 16; ++i) {
                r[i] = rows[i] != nullptr ? row_items<I>(rows[i] + k, K - k, source, factors[i]) : _mm512_setzero_ps();
                if (ahead[i] != nullptr) __builtin_prefetch(ahead[i] + k);
            }
            transpose16(r);
            Size written = items<I>(K - k);
            I* out = to + k / kItemDepth<I> * width + part;
            for (Size j = 0; j < 16 && j < written; ++j) _mm512_mask_storeu_ps(reinterpret_cast<float*>(out + j * width), lanes, r[j]);
        }
    }
}

template <class T, class I>
inline void pack_straight_avx512(I* to, int width, Size panel_items, const Source<T>& source, Size first, Size count, Size k0, Size K) {
    for (Size k = 0; k < K; k += kItemDepth<I>) {
        bool pair = kItemDepth<I> == 2 && k + 1 < K;
        const T* upper = source.row(k0 + k) + first;
        const T* lower = pair ? source.row(k0 + k + 1) + first : nullptr;
        float factor = source.factor(k0 + k), lower_factor = pair ? source.factor(k0 + k + 1) : 0.0f;
        for (Size p = 0; p * width < count; ++p) {
            I* out = to + p * panel_items + k / kItemDepth<I> * width;
            for (int part = 0; part < width; part += 16) {
                Size at = p * width + part;
                __mmask16 lanes = lanes_mask(width - part), mask = static_cast<__mmask16>(lanes_mask(count - at) & lanes);
                __m512 value = column_items<I>(upper + at, lower != nullptr ? lower + at : nullptr, mask, source, factor, lower_factor);
                _mm512_mask_storeu_ps(reinterpret_cast<float*>(out + part), lanes, value);
            }
        }
    }
}

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE
