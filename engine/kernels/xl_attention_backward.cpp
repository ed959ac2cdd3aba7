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

// s: scores, unscaled, on entry; afterwards the gradient of the unscaled scores. p: takes the probabilities. dp: gradient of p.
// Returns Σ_j p(dp − δ)·(s − centre), δ = Σ p·dp: any centre is right since Σ p(dp − δ) = 0; the mean Σ p·s keeps rounding small.
template <class S>
double score_gradients(S* s, S* p, const S* dp, Size seen, S scale, S lse) {
    S delta = 0, centre = 0;
    sum_two_lanes<S>(
        seen, delta, centre,
        [&](Size j) {
            p[j] = exp_of_at_most_88(s[j] * scale - lse);
            return p[j] * dp[j];
        },
        [&](Size j) { return p[j] * s[j]; });
    return sum_lanes<double>(seen, [&](Size j) {
        S ds = p[j] * (dp[j] - delta), share = ds * (s[j] - centre);
        s[j] = ds * scale;
        return static_cast<double>(share);
    });
}

template <class T>
void backward_head(const XlHead<T>& head, const XlAttentionGradients<T>& out, const XlSums<Sum<T>>& sums, Rows<const T> dy,
                   const Sum<T>* lse) {
    using S = Sum<T>;
    const XlAttentionShape& shape = head.shape;
    Size Sh = shape.Sh, rows_Sh = shape.S * Sh, small = kQueryBlock * Sh, block = XlScores<S>::elements(shape.S);
    Size packed = right_panel_elements<S>(shape.S, Sh), packed_rows = right_panel_elements<S>(Sh, shape.S);
    Buffers<S> buffers(
        3 * packed + 2 * packed_rows + 2 * block + tile::kTileRows * XlScores<S>::stride_for(shape.S) + 5 * small + 2 * rows_Sh, 15);
    S *keys_t = buffers.take(packed), *positions_t = buffers.take(packed), *values_t = buffers.take(packed);
    S *keys = buffers.take(packed_rows), *positions = buffers.take(packed_rows);
    XlScores<S> s(buffers.take(block), shape.S);
    Size stride = s.stride;
    S *p = buffers.take(block), *dp = buffers.take(tile::kTileRows * s.stride);
    S *content = buffers.take(small), *position = buffers.take(small), *dout = buffers.take(small);
    S *dcontent = buffers.take(small), *dposition = buffers.take(small);
    S *dk = buffers.take(rows_Sh), *dv = buffers.take(rows_Sh);
    tile::pack_right(keys_t, head.keys(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(positions_t, head.positions(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(values_t, head.values(), Layout::transposed, 0, shape.S, 0, Sh);
    tile::pack_right(keys, head.keys(), Layout::normal, 0, Sh, 0, shape.S);
    tile::pack_right(positions, head.positions(), Layout::normal, 0, Sh, 0, shape.S);
    std::fill_n(dk, rows_Sh, S(0));
    std::fill_n(dv, rows_Sh, S(0));
    std::fill_n(sums.dr, rows_Sh, S(0));
    std::fill_n(sums.du, Sh, S(0));
    std::fill_n(sums.dv_bias, Sh, S(0));
    *sums.dscale = 0;
    S scale = load(*head.in.scale);
    for (Size first = 0; first < shape.T; first += kQueryBlock) {
        Size rows = std::min(kQueryBlock, shape.T - first), visible = head.memory() + first + rows;
        head.biased_queries(content, head.in.u, first, rows);
        head.biased_queries(position, head.in.v_bias, first, rows);
        read_rows(dout, dy, head.b * shape.T + first, head.column(), rows, Sh);
        // A tile of queries at a time meets fewer keys that its rows do not see.
        for (Size tile = 0; tile < rows; tile += tile::kTileRows) {
            Size tile_rows = std::min<Size>(tile::kTileRows, rows - tile), begin = first + tile, seen = head.memory() + begin + tile_rows;
            XlScores<S> scores = s.from_row(tile);
            raw_scores(head, scores, content + tile * Sh, position + tile * Sh, keys_t, positions_t, begin, tile_rows);
            tile::multiply_rows<S>({dp, stride, tile_rows}, dout + tile * Sh, Sh, values_t, Sh, seen, Sh, false);
            for (Size i = 0; i < tile_rows; ++i) {
                Size own = head.memory() + begin + i + 1;
                S *row = scores.by_key + i * stride, *probability = p + (tile + i) * stride;
                *sums.dscale += score_gradients(row, probability, dp + i * stride, own, scale, lse[begin + i]);
                std::fill(probability + own, probability + visible, S(0));
                std::fill(row + own, row + stride, S(0));
            }
            scores.clear_gap();
            Size nearest = shape.T - (begin + tile_rows);
            tile::multiply_rows<S>({dcontent + tile * Sh, Sh, tile_rows}, scores.by_key, stride, keys, shape.S, Sh, seen, false);
            tile::multiply_rows<S>({dposition + tile * Sh, Sh, tile_rows}, scores.by_distance(shape.T, begin) + nearest,
                                   s.distance_stride(), positions + nearest * tile::kTileColumns<S>, shape.S, Sh, shape.S - nearest, false);
        }
        Size lowest = shape.T - (first + rows);
        add_transposed_product(dv, Sh, p, stride, dout, visible, Sh, rows);
        add_transposed_product(dk, Sh, s.by_key, stride, content, visible, Sh, rows);
        add_transposed_product(sums.dr + lowest * Sh, Sh, s.by_distance(shape.T, first) + lowest, s.distance_stride(), position,
                               shape.S - lowest, Sh, rows);
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
