#pragma once
// Operands of a product brought into panels, in the order in which micro() reads them. Panels are padded with zeros to whole tiles.
#include "engine/kernels/tile/micro.h"

namespace engine::kernels::tile::inline ENGINE_DEVICE {

// An operand's rows: gathered through `index` and multiplied with `scale` where these are given (both by position in the operand).
template <class T>
struct Source {
    const T* data;
    Size stride;
    const std::int32_t* index = nullptr;
    const Sum<T>* scale = nullptr;

    const T* row(Size i) const { return data + (index != nullptr ? static_cast<Size>(index[i]) : i) * stride; }
};

template <class T>
inline Sum<T> scaled(const Source<T>& source, Size row, Sum<T> value) {
    return source.scale != nullptr ? value * source.scale[row] : value;
}

#if defined(__AVX512F__)
inline __m512 load_lanes(const float* from, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, from); }
inline __m512 load_lanes(const bf16* from, __mmask16 mask) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from)), 16));
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

// to[(k)·width + i] = rows[first + i][k0 + k] for i < count ≤ 16 ≤ …, k < K; lanes beyond count are zero. Writes up to 16 lanes a step, so
// `to` needs 16 spare elements at its end.
template <class T>
inline void pack_columns(float* to, int width, const Source<T>& source, Size first, int count, Size k0, Size K) {
    for (Size k = 0; k < K; k += 16) {
        Size left = K - k < 16 ? K - k : 16;
        auto mask = static_cast<__mmask16>((1u << left) - 1u);
        __m512 r[16];
        for (int i = 0; i < 16; ++i) {
            r[i] = i < count ? load_lanes(source.row(first + i) + k0 + k, mask) : _mm512_setzero_ps();
            if (i < count && source.scale != nullptr) r[i] = _mm512_mul_ps(r[i], _mm512_set1_ps(source.scale[first + i]));
        }
        transpose16(r);
        auto lanes = static_cast<__mmask16>(width >= 16 ? 0xffffu : (1u << width) - 1u);
        for (Size j = 0; j < left; ++j) _mm512_mask_storeu_ps(to + (k + j) * width, lanes, r[j]);
    }
}
#endif

// Rows [first, first + count) × columns [k0, k0 + K) of the source, transposed: to[k·width + i], zero for i ≥ count.
template <class T, class S>
inline void pack_transposed(S* to, int width, const Source<T>& source, Size first, int count, Size k0, Size K) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<S, float>) {
        for (int part = 0; part < width; part += 16) {
            int rows = count - part < 0 ? 0 : count - part < 16 ? count - part : 16;
            int lanes = width - part < 16 ? width - part : 16;
            if (width <= 16) return pack_columns(to, width, source, first, rows, k0, K);
            for (Size k = 0; k < K; k += 16) {
                alignas(64) float block[16 * 16];
                Size left = K - k < 16 ? K - k : 16;
                pack_columns(block, 16, source, first + part, rows, k0 + k, left);
                for (Size j = 0; j < left; ++j)
                    __builtin_memcpy(to + (k + j) * width + part, block + j * 16, static_cast<std::size_t>(lanes) * 4);
            }
        }
        return;
    }
#endif
    for (int i = 0; i < width; ++i) {
        const T* from = i < count ? source.row(first + i) + k0 : nullptr;
        for (Size k = 0; k < K; ++k) to[k * width + i] = from != nullptr ? scaled(source, first + i, load(from[k])) : S(0);
    }
}

// Rows [k0, k0 + K) × columns [first, first + count) of the source, as they are: to[k·width + j], zero for j ≥ count.
template <class T, class S>
inline void pack_straight(S* to, int width, const Source<T>& source, Size first, int count, Size k0, Size K) {
    for (Size k = 0; k < K; ++k) {
        const T* from = source.row(k0 + k) + first;
        S* out = to + k * width;
        S factor = source.scale != nullptr ? source.scale[k0 + k] : S(1);
        if (source.scale != nullptr) {
            for (int j = 0; j < count; ++j) out[j] = load(from[j]) * factor;
        } else {
            for (int j = 0; j < count; ++j) out[j] = load(from[j]);
        }
        for (int j = count; j < width; ++j) out[j] = S(0);
    }
}

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE
