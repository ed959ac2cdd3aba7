#pragma once
// What stands in a panel: values of the sums' own type, or, for bf16 on processors that multiply pairs, two of them in one word.
#include "engine/kernels/tile/vector.h"

namespace engine::kernels::tile::inline ENGINE_DEVICE {

// Elements k (upper half) and k + 1 (lower half) of a bf16 operand. vdpbf16ps adds the upper product first, then the lower, each as one
// fused multiply-add: with the earlier element above, a sum is the same chain over k, in order, as that of widened values, and has its bits
// (but for values below 2⁻¹²⁶, which it takes as 0). It does twice the work of an fp32 tile, on half the bytes.
struct Pair {
    std::uint32_t bits;
};
#if defined(__AVX512F__)
inline constexpr bool kHasPairs = true;  // compiled in; whether the processor knows them is cpu_has_bf16_pairs()
#else
inline constexpr bool kHasPairs = false;
#endif

template <class I>
using ItemSum = std::conditional_t<std::is_same_v<I, Pair>, float, I>;
template <class I>
inline constexpr Size kItemDepth = std::is_same_v<I, Pair> ? 2 : 1;
// Items that hold K elements. A lone last one has a zero beside it.
template <class I>
constexpr Size items(Size K) {
    return (K + kItemDepth<I> - 1) / kItemDepth<I>;
}

inline Vector<float> load_items(const float* from) { return load_vector(from); }
inline Vector<double> load_items(const double* from) { return load_vector(from); }

#if defined(__AVX512F__)
inline Vector<float> load_items(const Pair* from) {
    Vector<float> result;
    __builtin_memcpy(&result, from, kVectorBytes);
    return result;
}
inline Vector<float> broadcast(Pair pair) { return reinterpret_cast<Vector<float>>(_mm512_set1_epi32(static_cast<int>(pair.bits))); }
#endif

// sums + a·b of items.
template <class I>
inline Vector<ItemSum<I>> multiply_add_items(Vector<ItemSum<I>> a, Vector<ItemSum<I>> b, Vector<ItemSum<I>> sums) {
    if constexpr (std::is_same_v<I, Pair>) {
        // By its name in assembly: the rest of this level must run on processors that lack it.
        asm("vdpbf16ps %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b));
        return sums;
    } else {
        return multiply_add(a, b, sums);
    }
}

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE
