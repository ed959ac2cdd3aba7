#pragma once
// What forward and backward of xl_attention share: one sequence's head, packed once, and the scores of a block of its queries.
#include "engine/kernels/attention_block.h"
#include "engine/kernels/xl_attention.h"

namespace engine::kernels::inline ENGINE_DEVICE {

// One head of one sequence.
template <class T>
struct XlHead {
    using S = Sum<T>;
    const XlAttentionInputs<T>& in;
    XlAttentionShape shape;
    Size b, h;

    Size column() const { return h * shape.Sh; }
    Size memory() const { return shape.S - shape.T; }
    tile::Source<T> keys() const { return {in.k.row(b * shape.S) + column(), in.k.stride}; }
    tile::Source<T> values() const { return {in.v.row(b * shape.S) + column(), in.v.stride}; }
    tile::Source<T> positions() const { return {in.r.data + column(), in.r.stride}; }
    const T* query(Size i) const { return in.q.row(b * shape.T + i) + column(); }

    // (q_i + bias) for queries [first, first + count), dense (count, Sh).
    void biased_queries(S* out, const T* bias, Size first, Size count) const {
        for (Size i = 0; i < count; ++i) {
            const T* q = query(first + i);
            for (Size c = 0; c < shape.Sh; ++c) out[i * shape.Sh + c] = load(q[c]) + load(bias[column() + c]);
        }
    }
};

// Unscaled scores of `rows` queries from `first` on against all keys that the last of them sees: raw[i·stride + j].
// `shifted` takes the position terms before they are moved to their keys.
template <class T>
void raw_scores(const XlHead<T>& head, Sum<T>* raw, Sum<T>* shifted, Size stride, const Sum<T>* content_queries,
                const Sum<T>* position_queries, const Sum<T>* packed_keys, const Sum<T>* packed_positions, Size first, Size rows) {
    using S = Sum<T>;
    Size Sh = head.shape.Sh, visible = head.memory() + first + rows, all = head.shape.S;
    multiply_dense(raw, stride, content_queries, Sh, packed_keys, Sh, 0, rows, visible, Sh, false);
    Size lowest = head.shape.T - (first + rows), start = lowest / tile::kTileColumns<S> * tile::kTileColumns<S>;
    multiply_dense(shifted, stride, position_queries, Sh, packed_positions, Sh, start, rows, all - start, Sh, false);
    for (Size i = 0; i < rows; ++i) {
        Size keys = head.memory() + first + i + 1;
        S* to = raw + i * stride;
        const S* from = shifted + i * stride + (head.shape.T - 1 - (first + i)) - start;
        for (Size j = 0; j < keys; ++j) to[j] += from[j];
        std::fill(to + keys, to + visible, S(0));
    }
}

}  // namespace engine::kernels::inline ENGINE_DEVICE
