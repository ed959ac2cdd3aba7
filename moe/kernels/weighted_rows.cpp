#include "moe/kernels/weighted_rows.h"

#include "engine/base/threads.h"
#include "engine/kernels/tile/arena.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/row_vectors.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::parallel_blocks;
using engine::parallel_for;
using engine::store;
using engine::kernels::tile::arena;

inline namespace ENGINE_DEVICE {

constexpr Size kBlockTokens = 8, kBlockRows = 32;

// A table that a second-level cache holds, as a whole.
template <class T>
bool is_small(const RowChoices& choices, Rows<const T> table) {
    constexpr Size kSmallBytes = Size{512} << 10;
    return table.rows * table.columns * choices.parts * static_cast<Size>(sizeof(T)) <= kSmallBytes;
}

// f(a constant: the strips of one of `parts` parts).
template <class F>
void with_strips(int parts, F&& f) {
    using engine::kernels::kStrips;
    if (parts == 1) return f(std::integral_constant<int, kStrips>());
    if (parts == 2) return f(std::integral_constant<int, kStrips / 2>());
    if (parts == 4) return f(std::integral_constant<int, kStrips / 4>());
    f(std::integral_constant<int, kStrips / 8>());
}

// Walking through a large table reads each row once, in order, and the tokens' rows from a cache; it pays once rows are chosen about twice.
template <class T>
bool walks_table(const RowChoices& choices, Rows<const T> table) {
    return choices.order != nullptr && choices.count() >= 2 * choices.rows && !is_small(choices, table);
}

// The tokens and weights of the choices in sorted order.
template <class S>
class SortedChoices {
  public:
    SortedChoices(Exec& exec, Rows<const S> w, const RowChoices& choices)
        : token_(exec, choices.count()), weight_(exec, w.data != nullptr ? choices.count() : 0) {
        constexpr Size kBlock = 1 << 14;
        auto J = static_cast<std::int32_t>(choices.choices);
        parallel_blocks(choices.count(), kBlock, [&](Size first, Size last) {
            for (Size r = first; r < last; ++r) {
                std::int32_t choice = choices.order[r], n = choice / J;
                token_[r] = n;
                if (w.data != nullptr) weight_[r] = w(n, choice - n * J);
            }
        });
    }
    const std::int32_t* token() const { return token_.data(); }
    const S* weight() const { return weight_.data(); }

  private:
    engine::Scratch<std::int32_t> token_;
    engine::Scratch<S> weight_;
};

// y of a strip of kWidth columns: the tokens' sums stay in a cache while the table passes by.
template <int kWidth, class T>
void combine_strip(Rows<T> y, bool add, const SortedChoices<Sum<T>>& sorted, Rows<const T> table, const RowChoices& choices, Size column) {
    using S = Sum<T>;
    constexpr int kVectors = kWidth / kLanes<S>;
    Size columns = std::min<Size>(kWidth, y.columns - column);
    S* sums = arena<3, S>(y.rows * kWidth);
    for (Size n = 0; n < y.rows; ++n) {
        S* sum = sums + n * kWidth;
        for (Size c = 0; c < kWidth; ++c) sum[c] = add && c < columns ? load(y(n, column + c)) : S(0);
    }
    const std::int32_t* token = sorted.token();
    const S* weight = sorted.weight();
    for (Size m = 0; m < choices.rows; ++m) {
        Size first = choices.offsets[m], last = choices.offsets[m + 1];
        if (m + 8 < choices.rows) prefetch_row(table.row(m + 8) + column, columns);
        if (first == last) continue;
        Vector<S> row[kVectors];
        for (int v = 0; v < kVectors; ++v) {
            Size left = columns - v * kLanes<S>;
            row[v] = left > 0 ? load_row_part(table.row(m) + column + v * kLanes<S>, left) : Vector<S>{};
        }
        for (Size r = first; r < last; ++r) {
            S* sum = sums + static_cast<Size>(token[r]) * kWidth;
            Vector<S> factor = broadcast(weight[r]);
            for (int v = 0; v < kVectors; ++v) {
                store_vector(sum + v * kLanes<S>, multiply_add(factor, row[v], load_vector(sum + v * kLanes<S>)));
            }
        }
    }
    for (Size n = 0; n < y.rows; ++n) {
        for (Size c = 0; c < columns; ++c) y(n, column + c) = store<T>(sums[n * kWidth + c]);
    }
}

template <int kWidth, class T>
void combine_by_table(Exec& exec, Rows<T> y, bool add, Rows<const Sum<T>> w, Rows<const T> table, const RowChoices& choices) {
    SortedChoices<Sum<T>> sorted(exec, w, choices);
    parallel_for((y.columns + kWidth - 1) / kWidth,
                 [&](Size strip) { combine_strip<kWidth, T>(y, add, sorted, table, choices, strip * kWidth); });
}

// The order in which a token's choices are added: by row, then j; of a small table by j.
inline void order_choices(std::uint64_t* key, const std::int32_t* ids, Size J, bool small) {
    for (Size j = 0; j < J; ++j) key[j] = static_cast<std::uint64_t>(ids[j]) << 32 | static_cast<std::uint64_t>(j);
    if (!small) std::sort(key, key + J);
}

template <class T>
void combine_by_token(Rows<T> y, bool add, Rows<const Sum<T>> w, Rows<const T> table, const RowChoices& choices) {
    using S = Sum<T>;
    Size C = y.columns, J = choices.choices;
    bool small = is_small(choices, table);
    parallel_blocks(y.rows, kBlockTokens, [&](Size first, Size last) {
        auto* key = arena<4, std::uint64_t>(J);
        S* sum = arena<3, S>(C);
        for (Size n = first; n < last; ++n) {
            order_choices(key, choices.ids + n * J, J, small);
            for (Size c = 0; c < C; ++c) sum[c] = add ? load(y(n, c)) : S(0);
            for (Size i = 0; i < J; ++i) {
                if (!small && i + 2 < J) prefetch_row(table.row(static_cast<Size>(key[i + 2] >> 32)), C);
                add_scaled_row(sum, w(n, static_cast<Size>(key[i] & 0xffffffffu)), table.row(static_cast<Size>(key[i] >> 32)), C);
            }
            for (Size c = 0; c < C; ++c) y(n, c) = store<T>(sum[c]);
        }
    });
}

// One row of the table's gradient: leaves are micro-shards, added along the aligned tree. Leaves without a choice add nothing.
// kStrips: of the columns, where dots are wanted, too; else 0.
template <int kStrips, class T>
struct RowTree {
    using S = Sum<T>;
    const std::int32_t *order, *token;
    const S* weight;
    Rows<const T> x;
    Rows<S> a;
    const T* row;  // of the table, for a
    Size choices, shard_choices;

    // Σ over sorted choices [first, last) of shards [shard, shard_last) into out. False if there were none.
    bool sum(S* out, S* spare, Size first, Size last, Size shard, Size shard_last) const {
        Size C = x.columns;
        if (first == last) return false;
        if (shard_last - shard == 1) {
            leaf(out, first, last);
            return true;
        }
        Size half = 1;
        while (half * 2 < shard_last - shard) half *= 2;
        Size middle = std::lower_bound(order + first, order + last, (shard + half) * shard_choices,
                                       [](std::int32_t choice, Size bound) { return choice < bound; }) -
                      order;
        bool left = sum(out, spare, first, middle, shard, shard + half);
        if (!left) return sum(out, spare, middle, last, shard + half, shard_last);
        if (sum(spare, spare + C, middle, last, shard + half, shard_last)) {
            for (Size c = 0; c < C; ++c) out[c] += spare[c];
        }
        return true;
    }

    void leaf(S* out, Size first, Size last) const {
        Size C = x.columns;
        std::fill_n(out, C, S(0));
        for (Size r = first; r < last; ++r) {
            const T* in = x.row(token[r]);
            if (r + 2 < last) prefetch_row(x.row(token[r + 2]), C);
            if constexpr (kStrips > 0) {
                a(token[r], order[r] - token[r] * choices) = dot_and_add_row<kStrips>(out, weight[r], in, row, C);
            } else {
                add_scaled_row(out, weight[r], in, C);
            }
        }
        // A fused sum may end in −0, which a tree with empty leaves would turn into 0.
        for (Size c = 0; c < C; ++c) out[c] += S(0);
    }
};

template <int kStrips, class T>
void dots_of_strips(Exec& exec, Rows<Sum<T>> a, Rows<const T> x, Rows<const T> table, const RowChoices& choices) {
    Size C = x.columns, J = choices.choices;
    if (!walks_table(choices, table)) {
        parallel_blocks(choices.tokens, kBlockTokens, [&](Size first, Size last) {
            for (Size n = first; n < last; ++n) {
                const std::int32_t* ids = choices.ids + n * J;
                for (Size j = 0; j < J; ++j) {
                    if (j + 2 < J) prefetch_row(table.row(ids[j + 2]), C);
                    a(n, j) = dot_rows<kStrips>(x.row(n), table.row(ids[j]), C);
                }
            }
        });
        return;
    }
    SortedChoices<Sum<T>> sorted(exec, {}, choices);
    const std::int32_t* token = sorted.token();
    parallel_blocks(choices.rows, kBlockRows, [&](Size first, Size last) {
        Size end = choices.offsets[last];
        for (Size m = first; m < last; ++m) {
            for (Size r = choices.offsets[m]; r < choices.offsets[m + 1]; ++r) {
                if (r + 2 < end) prefetch_row(x.row(token[r + 2]), C);
                a(token[r], choices.order[r] - token[r] * J) = dot_rows<kStrips>(x.row(token[r]), table.row(m), C);
            }
        }
    });
}

template <int kStrips, class T>
void gradient_of_strips(Exec& exec, Rows<Sum<T>> dtable, bool add, Rows<const Sum<T>> w, Rows<const T> x, const RowChoices& choices,
                        Rows<Sum<T>> a, Rows<const T> table) {
    using S = Sum<T>;
    SortedChoices<S> sorted(exec, w, choices);
    Size C = x.columns, shards = exec.shards.count, depth = 2;
    for (Size s = 1; s < shards; s *= 2) ++depth;
    parallel_blocks(choices.rows, kBlockRows, [&](Size first, Size last) {
        S* sum = arena<3, S>(depth * C);
        for (Size m = first; m < last; ++m) {
            const T* row = kStrips > 0 ? table.row(m) : nullptr;
            RowTree<kStrips, T> tree{choices.order, sorted.token(), sorted.weight(), x, a, row, choices.choices, choices.count() / shards};
            S* out = dtable.row(m);
            bool touched = tree.sum(sum, sum + C, choices.offsets[m], choices.offsets[m + 1], 0, shards);
            if (!add) {
                touched ? std::copy_n(sum, C, out) : std::fill_n(out, C, S(0));
            } else if (touched) {
                for (Size c = 0; c < C; ++c) out[c] += sum[c];
            }
        }
    });
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void row_dots(Exec& exec, Rows<Sum<T>> a, Rows<const T> x, Rows<const T> table, const RowChoices& choices) {
    with_strips(choices.parts, [&](auto strips) { dots_of_strips<strips, T>(exec, a, x, table, choices); });
}

template <class D, class T>
void row_combine(Exec& exec, Rows<T> y, bool add, Rows<const Sum<T>> w, Rows<const T> table, const RowChoices& choices) {
    if (y.rows == 0 || y.columns == 0) return;
    if (!walks_table(choices, table)) return combine_by_token<T>(y, add, w, table, choices);
    // The widest strip whose sums stay in the second-level cache and that leaves every thread a strip.
    constexpr Size kCacheBytes = Size{1} << 20;
    constexpr int kNarrow = 64 / static_cast<int>(sizeof(Sum<T>));
    auto fits = [&](Size width) {
        return y.rows * width * static_cast<Size>(sizeof(Sum<T>)) <= kCacheBytes && y.columns >= width * engine::threads();
    };
    if (fits(4 * kNarrow)) return combine_by_table<4 * kNarrow, T>(exec, y, add, w, table, choices);
    if (fits(2 * kNarrow)) return combine_by_table<2 * kNarrow, T>(exec, y, add, w, table, choices);
    combine_by_table<kNarrow, T>(exec, y, add, w, table, choices);
}

template <class D, class T>
void row_gradient(Exec& exec, Rows<Sum<T>> dtable, bool add, Rows<const Sum<T>> w, Rows<const T> x, const RowChoices& choices,
                  Rows<Sum<T>> a, Rows<const T> table) {
    if (a.data == nullptr) return gradient_of_strips<0, T>(exec, dtable, add, w, x, choices, a, table);
    with_strips(choices.parts, [&](auto strips) { gradient_of_strips<strips, T>(exec, dtable, add, w, x, choices, a, table); });
}

#define INSTANTIATE(T)                                                                                                                 \
    template void row_dots<Here, T>(Exec&, Rows<Sum<T>>, Rows<const T>, Rows<const T>, const RowChoices&);                             \
    template void row_combine<Here, T>(Exec&, Rows<T>, bool, Rows<const Sum<T>>, Rows<const T>, const RowChoices&);                    \
    template void row_gradient<Here, T>(Exec&, Rows<Sum<T>>, bool, Rows<const Sum<T>>, Rows<const T>, const RowChoices&, Rows<Sum<T>>, \
                                        Rows<const T>);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
