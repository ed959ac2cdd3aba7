#pragma once
// What forward and backward of attention share on the CPU: one head of one sequence, and the scores of a block of its queries.
#include "engine/kernels/attention.h"
#include "engine/kernels/attention_block.h"

namespace engine::kernels::inline ENGINE_DEVICE {

template <class T>
struct AttentionHead {
    using S = Sum<T>;
    const AttentionInputs<T>& in;
    AttentionShape shape;
    Size b, h;

    Size column() const { return h * shape.Sh; }
    S scale() const { return S(1) / std::sqrt(static_cast<S>(shape.Sh)); }
    // How many keys query i sees.
    Size seen(Size i) const { return shape.S - shape.T + i + 1; }
    tile::Source<T> keys() const { return {in.k.row(b * shape.S) + column(), in.k.stride}; }
    tile::Source<T> values() const { return {in.v.row(b * shape.S) + column(), in.v.stride}; }
    // Whole panels and whole lanes: the softmax clears its last lanes, which must not be the next row's.
    Size score_stride() const {
        constexpr Size kUnit = std::max<Size>(tile::kTileColumns<S>, kSumLanes);
        return (shape.S + kUnit - 1) / kUnit * kUnit;
    }

    // to[i·stride + j] = q_i·k_j, unscaled, of `rows` queries from `first` on, 0 for the keys that only later ones of them see.
    void scores(S* to, Size stride, const S* queries, const S* packed_keys, Size first, Size rows) const {
        Size visible = seen(first + rows - 1);
        tile::multiply_rows<S>({to, stride, rows}, queries, shape.Sh, packed_keys, shape.Sh, visible, shape.Sh, false);
        for (Size i = 0; i < rows; ++i) std::fill(to + i * stride + seen(first + i), to + i * stride + visible, S(0));
    }
};

}  // namespace engine::kernels::inline ENGINE_DEVICE
