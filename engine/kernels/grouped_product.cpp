#include "engine/kernels/grouped_product.h"

#include "engine/base/threads.h"
#include "engine/kernels/tile/panels.h"
#include "engine/memory/scratch.h"

#include <algorithm>
#include <vector>

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// Every expert's matrix (depth × columns) as packed panels, one after another.
template <class I, class T>
class PackedExperts {
  public:
    PackedExperts(Exec& exec, Rows<const T> b, Layout layout, Size experts)
        : depth_(layout == Layout::normal ? b.rows / experts : b.columns),
          columns_(layout == Layout::normal ? b.columns : b.rows / experts),
          elements_(tile::right_elements<I>(columns_, depth_)),
          panels_(exec, elements_ * experts) {
        Size rows_an_expert = b.rows / experts;
        parallel_for(experts, [&](Size e) {
            tile::Source<T> source{b.row(e * rows_an_expert), b.stride};
            tile::pack_right(panels_.data() + e * elements_, source, layout, 0, columns_, 0, depth_);
        });
    }
    const I* expert(Size e) const { return panels_.data() + e * elements_; }
    Size depth() const { return depth_; }
    Size columns() const { return columns_; }

  private:
    Size depth_, columns_, elements_;
    Scratch<I> panels_;
};

struct RowBlock {
    Size expert, first, rows;
};

inline std::vector<RowBlock> row_blocks(const Groups& groups) {
    std::vector<RowBlock> blocks;
    for (Size e = 0; e < groups.experts; ++e) {
        for (Size r = groups.offsets[e]; r < groups.offsets[e + 1]; r += tile::kBandRows) {
            blocks.push_back({e, r, std::min<Size>(tile::kBandRows, groups.offsets[e + 1] - r)});
        }
    }
    return blocks;
}

// Routed rows of c from rows of a: those of the tokens, or routed rows, scaled.
template <class I, class T, class Out>
void rows_product(Exec& exec, Rows<Out> c, Rows<const T> a, bool gathers, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                  const Groups& groups) {
    using S = Sum<T>;
    PackedExperts<I, T> packed(exec, b, layout_b, groups.experts);
    std::vector<RowBlock> blocks = row_blocks(groups);
    Size K = packed.depth(), columns = packed.columns();
    parallel_for(static_cast<Size>(blocks.size()), [&](Size task) {
        const RowBlock& block = blocks[static_cast<std::size_t>(task)];
        I* left = tile::arena<0, I>(tile::left_elements<I>(block.rows, K));
        tile::Source<T> source =
            gathers ? tile::Source<T>{a.data, a.stride, groups.token + block.first}
                    : tile::Source<T>{a.row(block.first), a.stride, nullptr, scale != nullptr ? scale + block.first : nullptr};
        tile::pack_left(left, source, Layout::normal, 0, block.rows, 0, K);
        if constexpr (std::is_same_v<Out, S>) {
            tile::multiply_panels<I>({c.row(block.first), c.stride, block.rows}, left, packed.expert(block.expert), K, columns, K, false);
        } else {
            S* sums = tile::arena<2, S>(block.rows * columns);
            tile::multiply_panels<I>({sums, columns, block.rows}, left, packed.expert(block.expert), K, columns, K, false);
            for (Size i = 0; i < block.rows; ++i) {
                for (Size j = 0; j < columns; ++j) c(block.first + i, j) = store<T>(sums[i * columns + j]);
            }
        }
    });
}

// Routed rows [r, stop) of one expert, a pass at a time: a tile holds the sums of all its rows at once, so a token that names the expert
// twice must wait for the next pass.
template <class S>
struct CombineRows {
    std::int32_t routed[tile::kBandRows], token[tile::kBandRows];
    S scale[tile::kBandRows];
    Size count = 0;

    CombineRows(const std::int32_t* tokens, const S* scales, Size r, Size stop) : tokens_(tokens), scales_(scales) {
        for (; r < stop; ++r) waiting_[waiting_count_++] = static_cast<std::int32_t>(r);
    }
    bool take() {
        Size left = 0;
        count = 0;
        for (Size i = 0; i < waiting_count_; ++i) {
            std::int32_t r = waiting_[i];
            if (count > 0 && token[count - 1] == tokens_[r]) {
                waiting_[left++] = r;
                continue;
            }
            routed[count] = r;
            token[count] = tokens_[r];
            scale[count++] = scales_ != nullptr ? scales_[r] : S(1);
        }
        waiting_count_ = left;
        return count > 0;
    }

  private:
    const std::int32_t* tokens_;
    const S* scales_;
    std::int32_t waiting_[tile::kBandRows];
    Size waiting_count_ = 0;
};

// Tokens that one task combines. Within an expert tokens ascend, so a range of tokens is a range of its routed rows; fewer ranges leave
// fewer of their last tiles half empty.
inline Size token_ranges(Size tokens, const Groups& groups) {
    constexpr Size kFullTiles = 16;  // an expert's share of a range
    Size most = groups.rows / (groups.experts * kFullTiles * tile::kTileRows), ranges = most / threads() * threads();
    return std::clamp<Size>(ranges, std::min<Size>(tokens, threads()), 4 * threads());
}

template <class I, class T>
void combine_product(Exec& exec, Rows<T> y, bool add, Rows<const T> a, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                     const Groups& groups) {
    using S = Sum<T>;
    PackedExperts<I, T> packed(exec, b, layout_b, groups.experts);
    Size K = packed.depth(), columns = y.columns, ranges = token_ranges(y.rows, groups);
    // A range of tokens is one task's own. It runs through the experts in order and adds what each gives right to the rows of y: no sum
    // depends on threads, and no product is written to be added later.
    parallel_for(ranges, [&](Size task) {
        Size first = task * y.rows / ranges, last = (task + 1) * y.rows / ranges;
        Rows<S> sums{nullptr, last - first, columns, y.stride};
        if constexpr (std::is_same_v<T, S>) {
            sums.data = y.row(first);
        } else {
            sums = {tile::arena<2, S>((last - first) * columns), last - first, columns, columns};
        }
        for (Size n = first; n < last; ++n) {
            if (!add) {
                std::fill_n(sums.row(n - first), columns, S(0));
            } else if constexpr (!std::is_same_v<T, S>) {
                for (Size j = 0; j < columns; ++j) sums(n - first, j) = load(y(n, j));
            }
        }
        for (Size e = 0; e < groups.experts; ++e) {
            const std::int32_t *begin = groups.token + groups.offsets[e], *end = groups.token + groups.offsets[e + 1];
            Size r = std::lower_bound(begin, end, first) - groups.token, stop = std::lower_bound(begin, end, last) - groups.token;
            for (; r < stop; r += tile::kBandRows) {
                CombineRows<S> rows(groups.token, scale, r, std::min<Size>(stop, r + tile::kBandRows));
                while (rows.take()) {
                    I* left = tile::arena<0, I>(tile::left_elements<I>(rows.count, K));
                    tile::Source<T> source{a.data, a.stride, rows.routed, scale != nullptr ? rows.scale : nullptr};
                    tile::pack_left(left, source, Layout::normal, 0, rows.count, 0, K);
                    tile::Target<S> target{sums.data - first * sums.stride, sums.stride, rows.count, rows.token};
                    tile::multiply_panels<I>(target, left, packed.expert(e), K, columns, K, tile::Add::after);
                }
            }
        }
        if constexpr (!std::is_same_v<T, S>) {
            for (Size n = first; n < last; ++n) {
                for (Size j = 0; j < columns; ++j) y(n, j) = store<T>(sums(n - first, j));
            }
        }
    });
}

template <class I, class T>
void weight_gradient(Rows<Sum<T>> db, bool add, Rows<const T> a, Rows<const T> c, bool gather_left, const Sum<T>* scale,
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
        tile::multiply<I>(db.row(e * A + m), db.stride, left, Layout::transposed, right, Layout::normal, std::min(part, A - m), db.columns,
                          count, add);
    });
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void grouped_gather_product(Exec& exec, Rows<T> c, Rows<const T> a, Rows<const T> b, Layout layout_b, const Groups& groups) {
    tile::with_item<T>([&]<class I>(std::type_identity<I>) { rows_product<I, T>(exec, c, a, true, nullptr, b, layout_b, groups); });
}

template <class D, class T>
void grouped_rows_product(Exec& exec, Rows<Sum<T>> c, Rows<const T> a, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                          const Groups& groups) {
    tile::with_item<T>([&]<class I>(std::type_identity<I>) { rows_product<I, T>(exec, c, a, false, scale, b, layout_b, groups); });
}

template <class D, class T>
void grouped_combine_product(Exec& exec, Rows<T> y, bool add, Rows<const T> a, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                             const Groups& groups) {
    tile::with_item<T>([&]<class I>(std::type_identity<I>) { combine_product<I>(exec, y, add, a, scale, b, layout_b, groups); });
}

template <class D, class T>
void grouped_weight_gradient(Exec&, Rows<Sum<T>> db, bool add, Rows<const T> a, Rows<const T> c, bool gather_left, const Sum<T>* scale,
                             const std::int32_t* begin, const std::int32_t* end, const Groups& groups) {
    tile::with_item<T>([&]<class I>(std::type_identity<I>) { weight_gradient<I>(db, add, a, c, gather_left, scale, begin, end, groups); });
}

#define INSTANTIATE(T)                                                                                                                    \
    template void grouped_gather_product<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, Layout, const Groups&);                   \
    template void grouped_rows_product<Here, T>(Exec&, Rows<Sum<T>>, Rows<const T>, const Sum<T>*, Rows<const T>, Layout, const Groups&); \
    template void grouped_combine_product<Here, T>(Exec&, Rows<T>, bool, Rows<const T>, const Sum<T>*, Rows<const T>, Layout,             \
                                                   const Groups&);                                                                        \
    template void grouped_weight_gradient<Here, T>(Exec&, Rows<Sum<T>>, bool, Rows<const T>, Rows<const T>, bool, const Sum<T>*,          \
                                                   const std::int32_t*, const std::int32_t*, const Groups&);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
