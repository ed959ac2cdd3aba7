#include "engine/kernels/xl_attention.h"

#include "engine/base/threads.h"
#include "engine/kernels/xl_attention_block.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// Fewer queries at once than backward: their scores stay in the first-level cache, and fewer keys are met that a row does not see.
constexpr Size kForwardQueries = tile::kTileRows;

template <class T>
void forward_head(const XlHead<T>& head, Rows<T> y, Sum<T>* lse) {
    using S = Sum<T>;
    const XlAttentionShape& shape = head.shape;
    Size Sh = shape.Sh, small = kQueryBlock * Sh;
    Size packed = right_panel_elements<S>(shape.S, Sh), packed_values = right_panel_elements<S>(Sh, shape.S);
    Buffers<S> buffers(2 * packed + packed_values + XlScores<S>::elements(shape.S) + 3 * small, 7);
    S *keys = buffers.take(packed), *positions = buffers.take(packed), *values = buffers.take(packed_values);
    S *content = buffers.take(small), *position = buffers.take(small), *out = buffers.take(small);
    XlScores<S> scores(buffers.take(XlScores<S>::elements(shape.S)), shape.S);
    tile::pack_right(keys, head.keys(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(positions, head.positions(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(values, head.values(), Layout::normal, 0, Sh, 0, shape.S);
    S scale = load(*head.in.scale), share[kQueryBlock];
    for (Size first = 0; first < shape.T; first += kForwardQueries) {
        Size rows = std::min(kForwardQueries, shape.T - first);
        head.biased_queries(content, head.in.u, first, rows);
        head.biased_queries(position, head.in.v_bias, first, rows);
        raw_scores(head, scores, content, position, keys, positions, first, rows);
        for (Size i = 0; i < rows; ++i) {
            Softmax<S> softmax = exponentials(scores.by_key + i * scores.stride, head.memory() + first + i + 1, scale);
            lse[first + i] = softmax.log_sum_exp();
            share[i] = S(1) / softmax.sum;
        }
        Size visible = head.memory() + first + rows;
        tile::multiply_rows<S>({out, Sh, rows}, scores.by_key, scores.stride, values, shape.S, Sh, visible, false);
        for (Size i = 0; i < rows; ++i) {
            for (Size c = 0; c < Sh; ++c) out[i * Sh + c] *= share[i];
        }
        write_rows(y, head.b * shape.T + first, head.column(), out, rows, Sh, false);
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void xl_attention(Exec&, Rows<T> y, Sum<T>* lse, const XlAttentionInputs<T>& in, XlAttentionShape shape) {
    parallel_for(shape.B * shape.H, [&](Size task) {
        XlHead<T> head{in, shape, task / shape.H, task % shape.H};
        forward_head(head, y, lse + task * shape.T);
    });
}

template void xl_attention<Here, float>(Exec&, Rows<float>, float*, const XlAttentionInputs<float>&, XlAttentionShape);
template void xl_attention<Here, double>(Exec&, Rows<double>, double*, const XlAttentionInputs<double>&, XlAttentionShape);
template void xl_attention<Here, bf16>(Exec&, Rows<bf16>, float*, const XlAttentionInputs<bf16>&, XlAttentionShape);

}  // namespace engine::kernels
