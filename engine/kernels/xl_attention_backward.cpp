#include "engine/base/threads.h"
#include "engine/kernels/xl_attention.h"
#include "engine/kernels/xl_attention_block.h"
#include "engine/memory/scratch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// One head's sums over its queries; dense, of Sum<T>.
template <class S>
struct XlSums {
    S* dr;           // (S,Sh)
    S* du;           // (Sh)
    S* dv_bias;      // (Sh)
    double* dscale;  // (1)
};

// s: scores, unscaled, on entry; afterwards the gradient of the unscaled scores. p: probabilities. dp: gradient of p.
// Returns Σ_j p(dp − δ)·(s − centre), δ = Σ p·dp: any centre is right since Σ p(dp − δ) = 0; the mean Σ p·s keeps rounding small.
template <class S>
double score_gradients(S* s, S* p, const S* dp, Size seen, S scale, S lse) {
    for (Size j = 0; j < seen; ++j) p[j] = exp_of(s[j] * scale - lse);
    S delta = sum_lanes<S>(seen, [&](Size j) { return p[j] * dp[j]; });
    S centre = sum_lanes<S>(seen, [&](Size j) { return p[j] * s[j]; });
    double dscale = sum_lanes<double>(seen, [&](Size j) { return static_cast<double>(p[j] * (dp[j] - delta) * (s[j] - centre)); });
    for (Size j = 0; j < seen; ++j) s[j] = p[j] * (dp[j] - delta) * scale;
    return dscale;
}

template <class T>
void backward_head(const XlHead<T>& head, const XlAttentionGradients<T>& out, const XlSums<Sum<T>>& sums, Rows<const T> dy,
                   const Sum<T>* lse) {
    using S = Sum<T>;
    const XlAttentionShape& shape = head.shape;
    Size Sh = shape.Sh, width = tile::kTileColumns<S>;
    Size stride = tile::panels(shape.S, width) * width + width, packed = right_panel_elements<S>(shape.S, Sh);
    Size packed_rows = right_panel_elements<S>(Sh, shape.S), block = kQueryBlock * stride, small = kQueryBlock * Sh;
    S* memory = tile::arena<3, S>(3 * packed + 2 * packed_rows + 4 * block + 5 * small + 2 * shape.S * Sh + 1024);
    auto take = [&](Size count) {
        S* result = memory;
        memory += (count + 15) / 16 * 16;
        return result;
    };
    S *keys_t = take(packed), *positions_t = take(packed), *values_t = take(packed);
    S *keys = take(packed_rows), *positions = take(packed_rows);
    S *s = take(block), *shifted = take(block), *p = take(block), *dp = take(block);
    S *content = take(small), *position = take(small), *dcontent = take(small), *dposition = take(small), *dout = take(small);
    S *dk = take(shape.S * Sh), *dv = take(shape.S * Sh);
    tile::pack_right(keys_t, head.keys(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(positions_t, head.positions(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(values_t, head.values(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(keys, head.keys(), Layout::normal, 0, Sh, 0, shape.S);
    std::fill_n(dk, shape.S * Sh, S(0));
    std::fill_n(dv, shape.S * Sh, S(0));
    std::fill_n(sums.dr, shape.S * Sh, S(0));
    std::fill_n(sums.du, Sh, S(0));
    std::fill_n(sums.dv_bias, Sh, S(0));
    *sums.dscale = 0;
    S scale = load(*head.in.scale);
    for (Size first = 0; first < shape.T; first += kQueryBlock) {
        Size rows = std::min(kQueryBlock, shape.T - first), visible = head.memory() + first + rows;
        head.biased_queries(content, head.in.u, first, rows);
        head.biased_queries(position, head.in.v_bias, first, rows);
        raw_scores(head, s, shifted, stride, content, position, keys_t, positions_t, first, rows);
        read_rows(dout, dy, head.b * shape.T + first, head.column(), rows, Sh);
        multiply_dense(dp, stride, dout, Sh, values_t, Sh, 0, rows, visible, Sh, false);
        Size lowest = shape.T - (first + rows);
        for (Size i = 0; i < rows; ++i) {
            Size seen = head.memory() + first + i + 1;
            *sums.dscale += score_gradients(s + i * stride, p + i * stride, dp + i * stride, seen, scale, lse[first + i]);
            std::fill(p + i * stride + seen, p + i * stride + visible, S(0));
            // The same gradients by distance: `shifted` holds columns [lowest, S).
            S* moved = shifted + i * stride;
            Size start = shape.T - 1 - (first + i) - lowest, span = shape.S - lowest;
            std::fill(moved, moved + start, S(0));
            std::copy_n(s + i * stride, seen, moved + start);
            std::fill(moved + start + seen, moved + span, S(0));
        }
        add_transposed_product(dv, Sh, p, stride, dout, visible, Sh, rows);
        add_transposed_product(dk, Sh, s, stride, content, visible, Sh, rows);
        add_transposed_product(sums.dr + lowest * Sh, Sh, shifted, stride, position, shape.S - lowest, Sh, rows);
        multiply_dense(dcontent, Sh, s, stride, keys, shape.S, 0, rows, Sh, visible, false);
        tile::Source<T> used{head.positions().row(lowest), head.in.r.stride};
        tile::pack_right(positions, used, Layout::normal, 0, Sh, 0, shape.S - lowest);
        multiply_dense(dposition, Sh, shifted, stride, positions, shape.S - lowest, 0, rows, Sh, shape.S - lowest, false);
        for (Size i = 0; i < rows; ++i) {
            for (Size c = 0; c < Sh; ++c) {
                sums.du[c] += dcontent[i * Sh + c];
                sums.dv_bias[c] += dposition[i * Sh + c];
                dcontent[i * Sh + c] += dposition[i * Sh + c];
            }
        }
        write_rows(out.dq, head.b * shape.T + first, head.column(), dcontent, rows, Sh, out.add_q);
    }
    write_rows(out.dk, head.b * shape.S, head.column(), dk, shape.S, Sh, out.add_k);
    write_rows(out.dv, head.b * shape.S, head.column(), dv, shape.S, Sh, out.add_v);
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void xl_attention_backward(Exec& exec, const XlAttentionGradients<T>& out, Rows<const T> dy, const Sum<T>* lse,
                           const XlAttentionInputs<T>& in, XlAttentionShape shape, Size first, Size count) {
    using S = Sum<T>;
    Size Sh = shape.Sh, per_head = shape.S * Sh + 2 * Sh;
    Scratch<S> all(exec, count * shape.H * per_head);
    Scratch<double> dscales(exec, count * shape.H);
    auto sums_of = [&](Size task) {
        S* memory = all.data() + task * per_head;
        return XlSums<S>{memory, memory + shape.S * Sh, memory + shape.S * Sh + Sh, dscales.data() + task};
    };
    parallel_for(count * shape.H, [&](Size task) {
        XlHead<T> head{in, shape, first + task / shape.H, task % shape.H};
        backward_head(head, out, sums_of(task), dy, lse + (head.b * shape.H + head.h) * shape.T);
    });
    // Over the sequences in order; each head's columns by one task.
    double dscale = 0;
    for (Size task = 0; task < count * shape.H; ++task) dscale += dscales[task];
    *out.dscale = static_cast<S>(dscale);
    parallel_for(shape.H, [&](Size h) {
        std::fill_n(out.du + h * Sh, Sh, S(0));
        std::fill_n(out.dv_bias + h * Sh, Sh, S(0));
        for (Size t = 0; t < shape.S; ++t) std::fill_n(out.dr.row(t) + h * Sh, Sh, S(0));
        for (Size b = 0; b < count; ++b) {
            XlSums<S> sums = sums_of(b * shape.H + h);
            for (Size c = 0; c < Sh; ++c) out.du[h * Sh + c] += sums.du[c];
            for (Size c = 0; c < Sh; ++c) out.dv_bias[h * Sh + c] += sums.dv_bias[c];
            for (Size t = 0; t < shape.S; ++t) {
                S* to = out.dr.row(t) + h * Sh;
                for (Size c = 0; c < Sh; ++c) to[c] += sums.dr[t * Sh + c];
            }
        }
    });
}

#define INSTANTIATE(T)                                                                                                \
    template void xl_attention_backward<Here, T>(Exec&, const XlAttentionGradients<T>&, Rows<const T>, const Sum<T>*, \
                                                 const XlAttentionInputs<T>&, XlAttentionShape, Size, Size);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
