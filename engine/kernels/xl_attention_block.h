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

// The scores of a block of queries, with room around each row: seen by distance, row i starts one element further on than row i − 1, so
// the matrix by distance is this one with a stride longer by one. Neither has to be copied into the other.
template <class S>
struct XlScores {
    S* by_key;          // [i·stride + j]: query first + i, key j
    Size stride, keys;  // what lies between a row's last key and the next row is scratch

    // Whole cache lines, an odd number of them, so that rows do not compete for the same lines of the first-level cache.
    static Size stride_for(Size keys) { return ((keys + kQueryBlock + 2 * tile::kTileColumns<S>) / 16 | 1) * 16 + 32; }
    static Size elements(Size keys) { return (kQueryBlock + 1) * stride_for(keys); }
    // `memory` has elements(keys).
    XlScores(S* memory, Size keys_) : by_key(memory + stride_for(keys_)), stride(stride_for(keys_)), keys(keys_) {}
    XlScores from_row(Size i) const {
        XlScores result = *this;
        result.by_key += i * stride;
        return result;
    }
    // Zeros between the row above and row 0, where the terms of distances that no query has were put: what is read by distance meets them.
    void clear_gap() const { std::fill_n(by_key - (stride - keys), stride - keys, S(0)); }
    Size distance_stride() const { return stride + 1; }
    // [i·(stride + 1) + t]: distance t of the table r, for queries from `first` on of T.
    S* by_distance(Size T, Size first) const { return by_key - (T - 1 - first); }
};

// Unscaled scores of `rows` queries from `first` on against all keys that the last of them sees; 0 beyond what a row sees itself. Each is
// one chain: the position term over Sh, then the content term.
template <class T>
void raw_scores(const XlHead<T>& head, const XlScores<Sum<T>>& scores, const Sum<T>* content_queries, const Sum<T>* position_queries,
                const Sum<T>* packed_keys, const Sum<T>* packed_positions, Size first, Size rows) {
    using S = Sum<T>;
    Size Sh = head.shape.Sh, visible = head.memory() + first + rows, all = head.shape.S;
    Size lowest = head.shape.T - (first + rows), start = lowest / tile::kTileColumns<S> * tile::kTileColumns<S>;
    tile::Target<S> moved{scores.by_distance(head.shape.T, first) + start, scores.distance_stride(), rows};
    tile::multiply_rows<S>(moved, position_queries, Sh, packed_positions + start * Sh, Sh, all - start, Sh, false);
    tile::multiply_rows<S>({scores.by_key, scores.stride, rows}, content_queries, Sh, packed_keys, Sh, visible, Sh, true);
    for (Size i = 0; i < rows; ++i) {
        S* row = scores.by_key + i * scores.stride;
        std::fill(row + head.memory() + first + i + 1, row + visible, S(0));
    }
}

}  // namespace engine::kernels::inline ENGINE_DEVICE
