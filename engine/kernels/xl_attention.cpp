#include "engine/kernels/xl_attention.h"

#include "engine/base/threads.h"
#include "engine/kernels/xl_attention_block.h"
#include "engine/memory/scratch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// Packed operands and working rows of one task, in one piece of its thread's arena.
template <class S>
struct XlBuffers {
    Size stride;
    S* memory;
    S* take(Size count) {
        S* result = memory;
        memory += (count + 15) / 16 * 16;
        return result;
    }
};

template <class T>
void forward_head(const XlHead<T>& head, Rows<T> y, Sum<T>* lse) {
    using S = Sum<T>;
    const XlAttentionShape& shape = head.shape;
    Size stride = tile::panels(shape.S, tile::kTileColumns<S>) * tile::kTileColumns<S> + tile::kTileColumns<S>;
    Size packed = right_panel_elements<S>(shape.S, shape.Sh), packed_values = right_panel_elements<S>(shape.Sh, shape.S);
    XlBuffers<S> buffers{
        stride, tile::arena<3, S>(2 * packed + packed_values + 2 * kQueryBlock * (stride + shape.Sh) + kQueryBlock * shape.Sh + 256)};
    S* keys = buffers.take(packed);
    S* positions = buffers.take(packed);
    S* values = buffers.take(packed_values);
    S* raw = buffers.take(kQueryBlock * stride);
    S* shifted = buffers.take(kQueryBlock * stride);
    S* content = buffers.take(kQueryBlock * shape.Sh);
    S* position = buffers.take(kQueryBlock * shape.Sh);
    S* out = buffers.take(kQueryBlock * shape.Sh);
    tile::pack_right(keys, head.keys(), Layout::transposed, 0, shape.S, 0, shape.Sh);
    tile::pack_right(positions, head.positions(), Layout::transposed, 0, shape.S, 0, shape.Sh);
    tile::pack_right(values, head.values(), Layout::normal, 0, shape.Sh, 0, shape.S);
    S scale = load(*head.in.scale);
    for (Size first = 0; first < shape.T; first += kQueryBlock) {
        Size rows = std::min(kQueryBlock, shape.T - first), visible = head.memory() + first + rows;
        head.biased_queries(content, head.in.u, first, rows);
        head.biased_queries(position, head.in.v_bias, first, rows);
        raw_scores(head, raw, shifted, stride, content, position, keys, positions, first, rows);
        for (Size i = 0; i < rows; ++i) { lse[first + i] = softmax_row(raw + i * stride, head.memory() + first + i + 1, scale); }
        multiply_dense(out, shape.Sh, raw, stride, values, shape.S, 0, rows, shape.Sh, visible, false);
        write_rows(y, head.b * shape.T + first, head.column(), out, rows, shape.Sh, false);
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
