#include "engine/kernels/grouped_product.h"

#include "engine/base/threads.h"
#include "engine/kernels/tile/panels.h"
#include "engine/memory/scratch.h"

#include <algorithm>
#include <vector>

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr Size kGroupRows = 12 * tile::kTileRows;

// Every expert's matrix (depth × columns) as packed panels, one after another.
template <class T>
class PackedExperts {
    using S = Sum<T>;

  public:
    PackedExperts(Exec& exec, Rows<const T> b, Layout layout, Size experts)
        : depth_(layout == Layout::normal ? b.rows / experts : b.columns),
          columns_(layout == Layout::normal ? b.columns : b.rows / experts),
          elements_(tile::right_elements<S>(columns_, depth_)),
          panels_(exec, elements_ * experts + 64) {
        Size rows_an_expert = b.rows / experts;
        parallel_for(experts, [&](Size e) {
            tile::Source<T> source{b.row(e * rows_an_expert), b.stride};
            tile::pack_right(panels_.data() + e * elements_, source, layout, 0, columns_, 0, depth_);
        });
    }
    const S* expert(Size e) const { return panels_.data() + e * elements_; }
    Size depth() const { return depth_; }
    Size columns() const { return columns_; }

  private:
    Size depth_, columns_, elements_;
    Scratch<S> panels_;
};

struct RowBlock {
    Size expert, first, rows;
};

inline std::vector<RowBlock> row_blocks(const Groups& groups) {
    std::vector<RowBlock> blocks;
    for (Size e = 0; e < groups.experts; ++e) {
        for (Size r = groups.offsets[e]; r < groups.offsets[e + 1]; r += kGroupRows) {
            blocks.push_back({e, r, std::min<Size>(kGroupRows, groups.offsets[e + 1] - r)});
        }
    }
    return blocks;
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void grouped_gather_product(Exec& exec, Rows<T> c, Rows<const T> a, Rows<const T> b, Layout layout_b, const Groups& groups) {
    using S = Sum<T>;
    PackedExperts<T> packed(exec, b, layout_b, groups.experts);
    std::vector<RowBlock> blocks = row_blocks(groups);
    Size K = packed.depth(), columns = packed.columns();
    parallel_for(static_cast<Size>(blocks.size()), [&](Size task) {
        const RowBlock& block = blocks[static_cast<std::size_t>(task)];
        S* left = tile::arena<0, S>(tile::left_elements<S>(block.rows, K));
        tile::pack_left(left, tile::Source<T>{a.data, a.stride, groups.token + block.first}, Layout::normal, 0, block.rows, 0, K);
        if constexpr (std::is_same_v<T, S>) {
            tile::multiply_panels(c.row(block.first), c.stride, left, packed.expert(block.expert), K, block.rows, columns, K, false);
        } else {
            S* sums = tile::arena<2, S>(block.rows * columns);
            tile::multiply_panels(sums, columns, left, packed.expert(block.expert), K, block.rows, columns, K, false);
            for (Size i = 0; i < block.rows; ++i) {
                for (Size j = 0; j < columns; ++j) c(block.first + i, j) = store<T>(sums[i * columns + j]);
            }
        }
    });
}

template <class D, class T>
void grouped_combine_product(Exec& exec, Rows<T> y, bool add, Rows<const T> a, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                             const Groups& groups) {
    using S = Sum<T>;
    PackedExperts<T> packed(exec, b, layout_b, groups.experts);
    std::vector<RowBlock> blocks = row_blocks(groups);
    Size K = packed.depth(), width = tile::kTileColumns<S>, panel_count = tile::panels(y.columns, width);
    Size strips = std::min<Size>(panel_count, threads()), strip = (panel_count + strips - 1) / strips * width;
    // A strip of columns is one task's own: it adds the experts' blocks in order, so no sum depends on threads.
    parallel_for(strips, [&](Size task) {
        Size first = task * strip;
        if (first >= y.columns) return;
        Size columns = std::min(strip, y.columns - first);
        Rows<S> sums{nullptr, y.rows, columns, y.stride};
        if constexpr (std::is_same_v<T, S>) {
            sums.data = y.data + first;
        } else {
            sums = {tile::arena<2, S>(y.rows * columns), y.rows, columns, columns};
        }
        for (Size n = 0; n < y.rows; ++n) {
            if (!add) {
                std::fill_n(sums.row(n), columns, S(0));
            } else if constexpr (!std::is_same_v<T, S>) {
                for (Size j = 0; j < columns; ++j) sums(n, j) = load(y(n, first + j));
            }
        }
        S* product = tile::arena<1, S>(kGroupRows * columns);
        for (const RowBlock& block : blocks) {
            S* left = tile::arena<0, S>(tile::left_elements<S>(block.rows, K));
            tile::Source<T> source{a.row(block.first), a.stride, nullptr, scale != nullptr ? scale + block.first : nullptr};
            tile::pack_left(left, source, Layout::normal, 0, block.rows, 0, K);
            tile::multiply_panels(product, columns, left, packed.expert(block.expert) + first * K, K, block.rows, columns, K, false);
            for (Size i = 0; i < block.rows; ++i) {
                S* out = sums.row(groups.token[block.first + i]);
                const S* in = product + i * columns;
                for (Size j = 0; j < columns; ++j) out[j] += in[j];
            }
        }
        if constexpr (!std::is_same_v<T, S>) {
            for (Size n = 0; n < y.rows; ++n) {
                for (Size j = 0; j < columns; ++j) y(n, first + j) = store<T>(sums(n, j));
            }
        }
    });
}

template <class D, class T>
void grouped_weight_gradient(Exec&, Rows<Sum<T>> db, bool add, Rows<const T> a, Rows<const T> c, bool gather_left, const Sum<T>* scale,
                             const std::int32_t* begin, const std::int32_t* end, const Groups& groups) {
    using S = Sum<T>;
    Size A = db.rows / groups.experts;
    Size parts = std::max<Size>(1, std::min<Size>(tile::panels(A, tile::kTileRows), 4 * threads() / std::max<Size>(1, groups.experts)));
    Size part = (tile::panels(A, tile::kTileRows) + parts - 1) / parts * tile::kTileRows;
    parallel_for(groups.experts * parts, [&](Size task) {
        Size e = task / parts, m = task % parts * part;
        if (m >= A) return;
        Size first = begin[e], count = end[e] - first;
        const std::int32_t* token = groups.token + first;
        const S* row_scale = scale != nullptr ? scale + first : nullptr;
        tile::Source<T> left =
            gather_left ? tile::Source<T>{a.data + m, a.stride, token} : tile::Source<T>{a.row(first) + m, a.stride, nullptr, row_scale};
        tile::Source<T> right =
            gather_left ? tile::Source<T>{c.row(first), c.stride, nullptr, row_scale} : tile::Source<T>{c.data, c.stride, token};
        tile::multiply(db.row(e * A + m), db.stride, left, Layout::transposed, right, Layout::normal, std::min(part, A - m), db.columns,
                       count, add);
    });
}

#define INSTANTIATE(T)                                                                                                           \
    template void grouped_gather_product<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, Layout, const Groups&);          \
    template void grouped_combine_product<Here, T>(Exec&, Rows<T>, bool, Rows<const T>, const Sum<T>*, Rows<const T>, Layout,    \
                                                   const Groups&);                                                               \
    template void grouped_weight_gradient<Here, T>(Exec&, Rows<Sum<T>>, bool, Rows<const T>, Rows<const T>, bool, const Sum<T>*, \
                                                   const std::int32_t*, const std::int32_t*, const Groups&);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
