#include "moe/kernels/spatial_product.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "engine/kernels/lanes.h"
#include "engine/kernels/tile/panels.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;
using engine::kernels::Layout;
namespace tile = engine::kernels::tile;

inline namespace ENGINE_DEVICE {

// Even, so that bf16's pairs begin with every band; the triangle's corner that is multiplied in vain is half of this a row.
constexpr Size kBand = 4 * tile::kTileRows;
constexpr Size kStrip = 128;

// What the rows see of every expert's matrix, with zeros where they do not: row t of expert e is e·length + t, with `keys` columns.
template <class T>
class VisibleWeights {
  public:
    VisibleWeights(Exec& exec, Rows<const T> w, const Chunks& chunks, const Positions& positions)
        : keys_(positions.keys(chunks.length)), length_(chunks.length), values_(exec, chunks.count * length_ * keys_) {
        engine::parallel_for(chunks.count * length_, [&](Size row) {
            Size t = row % length_, seen = positions.seen(t, length_);
            const T* from = w.row(row / length_ * positions.context + positions.first + t);
            T* to = values_.data() + row * keys_;
            std::fill(std::copy_n(from, seen, to), to + keys_, T{});
        });
    }
    tile::Source<T> expert(Size e) const { return {values_.data() + e * length_ * keys_, keys_}; }

  private:
    Size keys_, length_;
    engine::Scratch<T> values_;
};

// body(sequence, chunk, first column, columns) for strips of columns of every chunk of every sequence.
template <class Body>
void for_strips(const Chunks& chunks, Body&& body) {
    Size strips = tile::panels(chunks.width, kStrip), count = chunks.sequences * chunks.count;
    engine::parallel_for(count * strips, [&](Size task) {
        Size group = task / strips, i = group % chunks.count, column = task % strips * kStrip;
        body(group / chunks.count, i, chunks.half(i) + column, std::min(kStrip, chunks.width - column));
    });
}

// Rows from + [0, rows) of y, `columns` of them from `column` on, become sums[row] (+ bias[row]).
template <class T>
void write_sums(Rows<T> y, Size from, Size rows, Size column, Size columns, const Sum<T>* sums, const T* bias) {
    for (Size r = 0; r < rows; ++r) {
        T* out = y.row(from + r) + column;
        Sum<T> shift = bias != nullptr ? load(bias[r]) : Sum<T>(0);
        for (Size c = 0; c < columns; ++c) out[c] = store<T>(sums[r * columns + c] + shift);
    }
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void spatial_product(Exec& exec, Rows<T> g, Rows<const T> v, Rows<const T> w, Rows<const T> bias, const Chunks& chunks,
                     const Positions& positions) {
    Size length = chunks.length, keys = positions.keys(length);
    if (g.rows == 0) return;
    VisibleWeights<T> weights(exec, w, chunks, positions);
    tile::with_item<T>([&]<class I>(std::type_identity<I>) {
        for_strips(chunks, [&](Size b, Size i, Size column, Size columns) {
            Size e = chunks.expert(b, i);
            I* right = tile::arena<1, I>(tile::right_elements<I>(columns, keys));
            tile::pack_right(right, tile::Source<T>{v.row(b * keys), v.stride}, Layout::normal, column, columns, 0, keys);
            Sum<T>* sums = tile::arena<2, Sum<T>>(kBand * columns);
            for (Size first = 0; first < length; first += kBand) {
                Size rows = std::min(kBand, length - first), K = positions.seen(first + rows - 1, length);
                I* left = tile::arena<0, I>(tile::left_elements<I>(rows, K));
                tile::pack_left(left, weights.expert(e), Layout::normal, first, rows, 0, K);
                tile::multiply_panels<I>({sums, columns, rows}, left, right, keys, columns, K, false);
                write_sums(g, b * length + first, rows, column, columns, sums, bias.row(e) + positions.first + first);
            }
        });
    });
}

template <class D, class T>
void spatial_product_backward(Exec& exec, Rows<T> dv, Rows<const T> dg, Rows<const T> w, const Chunks& chunks, const Positions& positions) {
    Size length = chunks.length;
    if (dv.rows == 0) return;
    VisibleWeights<T> weights(exec, w, chunks, positions);
    tile::with_item<T>([&]<class I>(std::type_identity<I>) {
        for_strips(chunks, [&](Size b, Size i, Size column, Size columns) {
            I* right = tile::arena<1, I>(tile::right_elements<I>(columns, length));
            tile::pack_right(right, tile::Source<T>{dg.row(b * length), dg.stride}, Layout::normal, column, columns, 0, length);
            Sum<T>* sums = tile::arena<2, Sum<T>>(kBand * columns);
            for (Size first = 0; first < length; first += kBand) {
                // Keys from `first` on are seen by rows from `first` on.
                Size rows = std::min(kBand, length - first), begin = positions.causal ? first : 0, K = length - begin;
                I* left = tile::arena<0, I>(tile::left_elements<I>(rows, K));
                tile::pack_left(left, weights.expert(chunks.expert(b, i)), Layout::transposed, first, rows, begin, K);
                tile::multiply_panels<I>({sums, columns, rows}, left, right + tile::items<I>(begin) * tile::kTileColumns<I>, length,
                                         columns, K, false);
                write_sums<T>(dv, b * length + first, rows, column, columns, sums, nullptr);
            }
        });
    });
}

template <class D, class T>
void spatial_weight_gradient(Exec&, Rows<Sum<T>> dw, Rows<const T> dg, Rows<const T> v, const Chunks& chunks, const Positions& positions,
                             bool add) {
    using S = Sum<T>;
    Size length = chunks.length, T_ = positions.context, bands = tile::panels(T_, kBand);
    tile::with_item<T>([&]<class I>(std::type_identity<I>) {
        engine::parallel_for(chunks.count * bands, [&](Size task) {
            Size e = task / bands, first = task % bands * kBand, end = std::min(T_, first + kBand);
            Size rows = std::clamp<Size>(length - first, 0, end - first), keys = rows > 0 ? positions.seen(first + rows - 1, length) : 0;
            S* sums = tile::arena<2, S>(kBand * keys);
            std::fill_n(sums, rows * keys, S(0));
            for (Size group = 0; rows > 0 && group < chunks.sequences * chunks.count; ++group) {
                Size b = group / chunks.count, i = group % chunks.count;
                if (chunks.expert(b, i) != e) continue;
                I* left = tile::arena<0, I>(tile::left_elements<I>(rows, chunks.width));
                I* right = tile::arena<1, I>(tile::right_elements<I>(keys, chunks.width));
                tile::pack_left(left, tile::Source<T>{dg.row(b * length) + chunks.half(i), dg.stride}, Layout::normal, first, rows, 0,
                                chunks.width);
                tile::pack_right(right, tile::Source<T>{v.row(b * length) + chunks.half(i), v.stride}, Layout::transposed, 0, keys, 0,
                                 chunks.width);
                tile::multiply_panels<I>({sums, keys, rows}, left, right, chunks.width, keys, chunks.width, true);
            }
            for (Size t = first; t < end; ++t) {
                S* out = dw.row(e * T_ + t);
                Size seen = t < length ? positions.seen(t, length) : 0;
                const S* in = sums + (t - first) * keys;
                for (Size s = 0; s < seen; ++s) out[s] = add ? out[s] + in[s] : in[s];
                if (!add) std::fill(out + seen, out + T_, S(0));
            }
        });
    });
}

template <class D, class T>
void spatial_bias_gradient(Exec&, Rows<Sum<T>> dbias, Rows<const T> dg, const Chunks& chunks, const Positions& positions, bool add) {
    using S = Sum<T>;
    engine::parallel_for(chunks.count * positions.context, [&](Size task) {
        Size e = task / positions.context, t = task % positions.context;
        S sum = 0;
        for (Size b = 0; t < chunks.length && b < chunks.sequences; ++b) {
            for (Size i = 0; i < chunks.count; ++i) {
                if (chunks.expert(b, i) != e) continue;
                const T* in = dg.row(b * chunks.length + t) + chunks.half(i);
                sum += engine::kernels::sum_lanes<S>(chunks.width, [&](Size j) { return load(in[j]); });
            }
        }
        dbias(e, t) = add ? dbias(e, t) + sum : sum;
    });
}

#define INSTANTIATE(T)                                                                                                                    \
    template void spatial_product<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, Rows<const T>, const Chunks&, const Positions&); \
    template void spatial_product_backward<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, const Chunks&, const Positions&);       \
    template void spatial_weight_gradient<Here, T>(Exec&, Rows<Sum<T>>, Rows<const T>, Rows<const T>, const Chunks&, const Positions&,    \
                                                   bool);                                                                                 \
    template void spatial_bias_gradient<Here, T>(Exec&, Rows<Sum<T>>, Rows<const T>, const Chunks&, const Positions&, bool);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
