#include "engine/kernels/attention.h"

#include "engine/base/threads.h"
#include "engine/kernels/attention_head.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

template <class T>
void attend(const AttentionHead<T>& head, Rows<T> y, Sum<T>* lse) {
    using S = Sum<T>;
    const AttentionShape& shape = head.shape;
    Size Sh = shape.Sh, stride = head.score_stride();
    Size packed_keys = right_panel_elements<S>(shape.S, Sh), packed_values = right_panel_elements<S>(Sh, shape.S);
    Buffers<S> buffers(packed_keys + packed_values + kQueryBlock * (stride + 2 * Sh), 5);
    S *keys = buffers.take(packed_keys), *values = buffers.take(packed_values), *scores = buffers.take(kQueryBlock * stride);
    S *queries = buffers.take(kQueryBlock * Sh), *out = buffers.take(kQueryBlock * Sh);
    tile::pack_right(keys, head.keys(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(values, head.values(), Layout::normal, 0, Sh, 0, shape.S);
    for (Size first = 0; first < shape.T; first += kQueryBlock) {
        Size rows = std::min(kQueryBlock, shape.T - first);
        read_rows(queries, head.in.q, head.b * shape.T + first, head.column(), rows, Sh);
        head.scores(scores, stride, queries, keys, first, rows);
        S share[kQueryBlock];
        for (Size i = 0; i < rows; ++i) {
            Softmax<S> softmax = exponentials(scores + i * stride, head.seen(first + i), head.scale());
            lse[first + i] = softmax.log_sum_exp();
            share[i] = S(1) / softmax.sum;
        }
        tile::multiply_rows<S>({out, Sh, rows}, scores, stride, values, shape.S, Sh, head.seen(first + rows - 1), false);
        for (Size i = 0; i < rows; ++i) {
            for (Size c = 0; c < Sh; ++c) out[i * Sh + c] *= share[i];
        }
        write_rows(y, head.b * shape.T + first, head.column(), out, rows, Sh, false);
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void attention(Exec&, Rows<T> y, Sum<T>* lse, const AttentionInputs<T>& in, AttentionShape shape) {
    parallel_for(shape.B * shape.H, [&](Size task) {
        attend(AttentionHead<T>{in, shape, task / shape.H, task % shape.H}, y, lse + task * shape.T);
    });
}

template void attention<Here, float>(Exec&, Rows<float>, float*, const AttentionInputs<float>&, AttentionShape);
template void attention<Here, double>(Exec&, Rows<double>, double*, const AttentionInputs<double>&, AttentionShape);
template void attention<Here, bf16>(Exec&, Rows<bf16>, float*, const AttentionInputs<bf16>&, AttentionShape);

}  // namespace engine::kernels
