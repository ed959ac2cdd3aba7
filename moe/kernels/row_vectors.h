#pragma once
// Rows of T as vectors of Sum<T> on the CPU. Every element of a row goes through the same operations whatever its place, so a row cut into
// strips has the same bits as a whole one.
#include "engine/kernels/tile/vector.h"

namespace moe::kernels::inline ENGINE_DEVICE {

using engine::Size;
using engine::Sum;
using engine::kernels::tile::broadcast;
using engine::kernels::tile::kLanes;
using engine::kernels::tile::load_vector;
using engine::kernels::tile::multiply_add;
using engine::kernels::tile::store_vector;
using engine::kernels::tile::Vector;

template <class T>
inline Vector<Sum<T>> load_row(const T* from) {
    if constexpr (std::is_same_v<T, engine::bf16>) {
#if defined(__AVX512F__)
        __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
        return reinterpret_cast<Vector<float>>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
#elif defined(__AVX2__)
        __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        return reinterpret_cast<Vector<float>>(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
#else
        Vector<float> result;
        for (int l = 0; l < kLanes<float>; ++l) result[l] = engine::load(from[l]);
        return result;
#endif
    } else {
        return load_vector(from);
    }
}

// The first `count` elements, the others 0.
template <class T>
inline Vector<Sum<T>> load_row(const T* from, Size count) {
    Vector<Sum<T>> result{};
    for (Size l = 0; l < count; ++l) result[static_cast<int>(l)] = engine::load(from[l]);
    return result;
}
template <class S>
inline void store_row(S* to, const Vector<std::type_identity_t<S>>& value, Size count) {
    for (Size l = 0; l < count; ++l) to[l] = value[static_cast<int>(l)];
}

// sum[c] += w·row[c], c < C, each a fused multiply-add.
template <class T>
inline void add_scaled_row(Sum<T>* sum, Sum<T> w, const T* row, Size C) {
    constexpr Size L = kLanes<Sum<T>>;
    Vector<Sum<T>> factor = broadcast(w);
    Size c = 0;
    for (; c + L <= C; c += L) store_vector(sum + c, multiply_add(factor, load_row(row + c), load_vector(sum + c)));
    if (c < C) store_row(sum + c, multiply_add(factor, load_row(row + c, C - c), load_row(sum + c, C - c)), C - c);
}

// Four vectors of partial sums, folded at the end.
template <class S>
struct DotLanes {
    Vector<S> lane[4] = {};
    S fold() const {
        Vector<S> all = (lane[0] + lane[1]) + (lane[2] + lane[3]);
        for (int width = kLanes<S> / 2; width > 0; width /= 2) {
            for (int l = 0; l < width; ++l) all[l] += all[l + width];
        }
        return all[0];
    }
};

// f(v, c, load) for each vector of a row of C, v counting from 0 modulo 4; the last one may be short.
template <class S, class F>
inline void for_row_vectors(Size C, F&& f) {
    constexpr Size L = kLanes<S>;
    Size c = 0;
    for (; c + 4 * L <= C; c += 4 * L) { f(0, c), f(1, c + L), f(2, c + 2 * L), f(3, c + 3 * L); }
    for (int v = 0; c < C; c += L, ++v) f(v, c);
}

template <class T>
inline Vector<Sum<T>> load_row_end(const T* row, Size c, Size C) {
    return c + kLanes<Sum<T>> <= C ? load_row(row + c) : load_row(row + c, C - c);
}

// Σ_c x[c]·y[c]
template <class T>
inline Sum<T> dot_rows(const T* x, const T* y, Size C) {
    DotLanes<Sum<T>> lanes;
    for_row_vectors<Sum<T>>(
        C, [&](int v, Size c) { lanes.lane[v] = multiply_add(load_row_end(x, c, C), load_row_end(y, c, C), lanes.lane[v]); });
    return lanes.fold();
}

// sum[c] += w·x[c], and Σ_c x[c]·y[c], in the bits of the two functions above: x is read once.
template <class T>
inline Sum<T> dot_and_add_row(Sum<T>* sum, Sum<T> w, const T* x, const T* y, Size C) {
    using S = Sum<T>;
    DotLanes<S> lanes;
    Vector<S> factor = broadcast(w);
    for_row_vectors<S>(C, [&](int v, Size c) {
        Vector<S> in = load_row_end(x, c, C);
        lanes.lane[v] = multiply_add(in, load_row_end(y, c, C), lanes.lane[v]);
        if (c + kLanes<S> <= C) {
            store_vector(sum + c, multiply_add(factor, in, load_vector(sum + c)));
        } else {
            store_row(sum + c, multiply_add(factor, in, load_row(sum + c, C - c)), C - c);
        }
    });
    return lanes.fold();
}

// Asks for the first lines of a row that is read soon; the processor's own prefetcher follows.
template <class T>
inline void prefetch_row(const T* row, Size C) {
    constexpr Size kLine = 64 / static_cast<Size>(sizeof(T)), kMostLines = 8;
    Size lines = (C + kLine - 1) / kLine;
    for (Size l = 0; l < (lines < kMostLines ? lines : kMostLines); ++l) __builtin_prefetch(row + l * kLine);
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
