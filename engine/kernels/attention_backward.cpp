#include "engine/base/threads.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/attention_head.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

template <class T>
void attend_backward(const AttentionHead<T>& head, const AttentionGradients<T>& out, Rows<const T> dy, const Sum<T>* lse) {
    using S = Sum<T>;
    const AttentionShape& shape = head.shape;
    Size Sh = shape.Sh, stride = head.score_stride(), block = kQueryBlock * stride, small = kQueryBlock * Sh;
    Size packed = right_panel_elements<S>(shape.S, Sh), packed_rows = right_panel_elements<S>(Sh, shape.S);
    Buffers<S> buffers(2 * packed + packed_rows + 2 * block + 3 * small + 2 * shape.S * Sh, 10);
    S *keys_t = buffers.take(packed), *values_t = buffers.take(packed), *keys = buffers.take(packed_rows);
    S *p = buffers.take(block), *ds = buffers.take(block);
    S *queries = buffers.take(small), *dout = buffers.take(small), *dq = buffers.take(small);
    S *dk = buffers.take(shape.S * Sh), *dv = buffers.take(shape.S * Sh);
    tile::pack_right(keys_t, head.keys(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(values_t, head.values(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(keys, head.keys(), Layout::normal, 0, Sh, 0, shape.S);
    std::fill_n(dk, shape.S * Sh, S(0));
    std::fill_n(dv, shape.S * Sh, S(0));
    S scale = head.scale();
    for (Size first = 0; first < shape.T; first += kQueryBlock) {
        Size rows = std::min(kQueryBlock, shape.T - first), visible = head.seen(first + rows - 1);
        read_rows(queries, head.in.q, head.b * shape.T + first, head.column(), rows, Sh);
        read_rows(dout, dy, head.b * shape.T + first, head.column(), rows, Sh);
        head.scores(p, stride, queries, keys_t, first, rows);
        tile::multiply_rows<S>({ds, stride, rows}, dout, Sh, values_t, Sh, visible, Sh, false);
        for (Size i = 0; i < rows; ++i) {
            Size seen = head.seen(first + i);
            S *row = p + i * stride, *dp = ds + i * stride, normaliser = lse[first + i];
            S delta = sum_lanes<S>(seen, [&](Size j) {
                row[j] = exp_of(row[j] * scale - normaliser);
                return row[j] * dp[j];
            });
            for (Size j = 0; j < seen; ++j) dp[j] = row[j] * (dp[j] - delta) * scale;
            std::fill(dp + seen, dp + visible, S(0));
        }
        add_transposed_product(dv, Sh, p, stride, dout, visible, Sh, rows);
        add_transposed_product(dk, Sh, ds, stride, queries, visible, Sh, rows);
        tile::multiply_rows<S>({dq, Sh, rows}, ds, stride, keys, shape.S, Sh, visible, false);
        write_rows(out.dq, head.b * shape.T + first, head.column(), dq, rows, Sh, false);
    }
    write_rows(out.dk, head.b * shape.S, head.column(), dk, shape.S, Sh, false);
    write_rows(out.dv, head.b * shape.S, head.column(), dv, shape.S, Sh, false);
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void attention_backward(Exec&, const AttentionGradients<T>& out, Rows<const T> dy, const Sum<T>* lse, const AttentionInputs<T>& in,
                        AttentionShape shape) {
    parallel_for(shape.B * shape.H, [&](Size task) {
        attend_backward(AttentionHead<T>{in, shape, task / shape.H, task % shape.H}, out, dy, lse + task * shape.T);
    });
}

#define INSTANTIATE(T)                                                                                           \
    template void attention_backward<Here, T>(Exec&, const AttentionGradients<T>&, Rows<const T>, const Sum<T>*, \
                                              const AttentionInputs<T>&, AttentionShape);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
