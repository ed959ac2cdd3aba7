#pragma once
// Rows of T as vectors of Sum<T> on the CPU. Every element of a row goes through the same operations whatever its place, so a row cut into
// strips has the same bits as a whole one.
#include "engine/kernels/strips.h"
#include "engine/kernels/tile/vector.h"

#include <utility>

namespace moe::kernels::inline ENGINE_DEVICE {

using engine::Size;
using engine::Sum;
using engine::kernels::tile::broadcast;
using engine::kernels::tile::kLanes;
using engine::kernels::tile::load_part;
using engine::kernels::tile::load_vector;
using engine::kernels::tile::multiply_add;
using engine::kernels::tile::store_part;
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
    if constexpr (std::is_same_v<T, Sum<T>>) {
        return load_part(from, count);
    } else {
        Vector<Sum<T>> result{};
        for (Size l = 0; l < count; ++l) result[static_cast<int>(l)] = engine::load(from[l]);
        return result;
    }
}

// sum[c] += w·row[c], c < C, each a fused multiply-add.
template <class T>
inline void add_scaled_row(Sum<T>* sum, Sum<T> w, const T* row, Size C) {
    constexpr Size L = kLanes<Sum<T>>;
    Vector<Sum<T>> factor = broadcast(w);
    Size c = 0;
    for (; c + L <= C; c += L) store_vector(sum + c, multiply_add(factor, load_row(row + c), load_vector(sum + c)));
    if (c < C) store_part(sum + c, multiply_add(factor, load_row(row + c, C - c), load_row(sum + c, C - c)), C - c);
}

// One vector of partial sums a strip of columns (engine/kernels/strips.h). f(sum, c, count) adds columns [c, c + count), a whole vector but
// at the end of the row.
template <int kCount, class S, class F>
[[gnu::always_inline]] inline void sum_strips(Vector<S>* sums, Size first, Size last, F&& f) {
    if constexpr (kCount == 1) {
        Vector<S> sum{};
        Size c = first;
        for (; c + kLanes<S> <= last; c += kLanes<S>) sum = f(sum, c, Size{kLanes<S>});
        if (c < last) sum = f(sum, c, last - c);
        *sums = sum;
    } else {
        Size middle = first + engine::kernels::strips_in_half(last - first);
        sum_strips<kCount / 2, S>(sums, first, middle, f);
        sum_strips<kCount / 2, S>(sums + kCount / 2, middle, last, f);
    }
}

// The lower half of every group of kWidth lanes plus its upper half, of the groups of both vectors in order.
template <int kWidth, class V, int... kLane>
[[gnu::always_inline]] inline V fold_groups(const V& a, const V& b, std::integer_sequence<int, kLane...>) {
    constexpr int kHalf = kWidth / 2;
    return __builtin_shufflevector(a, b, (kLane / kHalf * kWidth + kLane % kHalf)...) +
           __builtin_shufflevector(a, b, (kLane / kHalf * kWidth + kLane % kHalf + kHalf)...);
}

// The sum of kLive lanes: each strip's are folded, then neighbouring strips are added. All strips take each step together.
template <class S, int kLive, int kWidth = kLanes<S>>
[[gnu::always_inline]] inline S fold_strips(Vector<S>* sums) {
    if constexpr (kLive == 1) {
        return sums[0][0];
    } else {
        constexpr int kLeft = kLive / 2 > kLanes<S> ? kLive / 2 / kLanes<S> : 1, kOther = kLive > kLanes<S> ? 1 : 0;
        for (int k = 0; k < kLeft; ++k) {
            sums[k] = fold_groups<kWidth>(sums[2 * k], sums[2 * k + kOther], std::make_integer_sequence<int, kLanes<S>>());
        }
        return fold_strips<S, kLive / 2, (kWidth > 2 ? kWidth / 2 : 2)>(sums);
    }
}

// `count` elements: a vector, or fewer.
template <class T>
inline Vector<Sum<T>> load_row_part(const T* row, Size count) {
    return count >= kLanes<Sum<T>> ? load_row(row) : load_row(row, count);
}

// Σ_c x[c]·y[c] over C columns of kStrips strips
template <int kStrips, class T>
[[gnu::always_inline]] inline Sum<T> dot_rows(const T* x, const T* y, Size C) {
    using S = Sum<T>;
    Vector<S> sums[kStrips];
    sum_strips<kStrips, S>(sums, 0, C, [&](const Vector<S>& sum, Size c, Size count) {
        return multiply_add(load_row_part(x + c, count), load_row_part(y + c, count), sum);
    });
    return fold_strips<S, kStrips * kLanes<S>>(sums);
}

// sum[c] += w·x[c], and Σ_c x[c]·y[c], in the bits of the two functions above: x is read once.
template <int kStrips, class T>
[[gnu::always_inline]] inline Sum<T> dot_and_add_row(Sum<T>* sum, Sum<T> w, const T* x, const T* y, Size C) {
    using S = Sum<T>;
    Vector<S> sums[kStrips], factor = broadcast(w);
    sum_strips<kStrips, S>(sums, 0, C, [&](const Vector<S>& dot, Size c, Size count) {
        Vector<S> in = load_row_part(x + c, count);
        if (count == kLanes<S>) {
            store_vector(sum + c, multiply_add(factor, in, load_vector(sum + c)));
        } else {
            store_part(sum + c, multiply_add(factor, in, load_row(sum + c, count)), count);
        }
        return multiply_add(in, load_row_part(y + c, count), dot);
    });
    return fold_strips<S, kStrips * kLanes<S>>(sums);
}

// Asks for the first lines of a row that is read soon; the processor's own prefetcher follows.
template <class T>
inline void prefetch_row(const T* row, Size C) {
    constexpr Size kLine = 64 / static_cast<Size>(sizeof(T)), kMostLines = 8;
    Size lines = (C + kLine - 1) / kLine;
    for (Size l = 0; l < (lines < kMostLines ? lines : kMostLines); ++l) __builtin_prefetch(row + l * kLine);
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
