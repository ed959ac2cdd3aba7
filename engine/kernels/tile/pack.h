#pragma once
// Operands of a product brought into panels, in the order in which micro() reads them. Panels are padded with zeros to whole tiles.
#include "engine/kernels/tile/micro.h"

namespace engine::kernels::tile::inline ENGINE_DEVICE {

// An operand's rows: gathered through `index` and multiplied with `scale` where these are given (both by position in the operand). In
// pairs a scaled value is rounded to bf16 once more.
template <class T>
struct Source {
    const T* data;
    Size stride;
    const std::int32_t* index = nullptr;
    const Sum<T>* scale = nullptr;

    const T* row(Size i) const { return data + (index != nullptr ? static_cast<Size>(index[i]) : i) * stride; }
    Sum<T> factor(Size i) const { return scale != nullptr ? scale[i] : Sum<T>(1); }
};

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE

#if defined(__AVX512F__)
#include "engine/kernels/tile/pack_avx512.h"
#endif

namespace engine::kernels::tile::inline ENGINE_DEVICE {

// A panel of `width` rows of the source from `first` on, columns [k0, k0 + K), transposed: to[k·width + i]. `count` rows are left: 0 for
// those that do not exist, and those of the next panel are fetched into the cache meanwhile.
template <class T, class I>
inline void pack_transposed(I* to, int width, const Source<T>& source, Size first, Size count, Size k0, Size K) {
#if defined(__AVX512F__)
    if constexpr (sizeof(I) == 4) return pack_transposed_avx512(to, width, source, first, count, k0, K);
#endif
    if constexpr (!std::is_same_v<I, Pair>) {
        for (int i = 0; i < width; ++i) {
            const T* from = i < count ? source.row(first + i) + k0 : nullptr;
            I factor = from != nullptr ? source.factor(first + i) : I(0);
            for (Size k = 0; k < K; ++k) to[k * width + i] = from != nullptr ? load(from[k]) * factor : I(0);
        }
    }
}

// Panels of `width` columns of the source, `panel_items` apart: columns [first, first + count), rows [k0, k0 + K), as they are:
// to[panel·panel_items + k·width + j], 0 beyond the last column. Row by row through all panels: each source row is read once, in order.
template <class T, class I>
inline void pack_straight(I* to, int width, Size panel_items, const Source<T>& source, Size first, Size count, Size k0, Size K) {
#if defined(__AVX512F__)
    if constexpr (sizeof(I) == 4) return pack_straight_avx512(to, width, panel_items, source, first, count, k0, K);
#endif
    if constexpr (!std::is_same_v<I, Pair>) {
        for (Size k = 0; k < K; ++k) {
            const T* from = source.row(k0 + k) + first;
            I factor = source.factor(k0 + k);
            for (Size p = 0; p * width < count; ++p) {
                I* out = to + p * panel_items + k * width;
                for (Size j = p * width; j < (p + 1) * width; ++j) *out++ = j < count ? load(from[j]) * factor : I(0);
            }
        }
    }
}

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE
