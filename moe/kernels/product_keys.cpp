#include "moe/kernels/product_keys.h"

#include "engine/base/threads.h"
#include "engine/kernels/tile/panels.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/product_key_row.h"
#include "moe/kernels/top_of.h"

namespace moe::kernels {

using engine::Here;
using engine::parallel_blocks;
using engine::parallel_for;
using engine::Scratch;
using engine::kernels::Layout;
namespace tile = engine::kernels::tile;

inline namespace ENGINE_DEVICE {

constexpr Size kQueryRows = 4 * tile::kTileRows;

// The best slots of one token and head from its half-scores.
template <class S>
class SlotSearch {
  public:
    SlotSearch(const ProductKeys& keys, TopOf<S>& top)
        : keys_(keys), kept_(kept_ranks(keys)), pairs_(grid_pairs(keys.k, kept_)), top_(top) {
        best_ = tile::arena<8, S>(2 * kept_ + pairs_);
        index_ = tile::arena<9, std::int32_t>(2 * kept_ + pairs_);
    }
    static Size most_values(const ProductKeys& keys) { return std::max(keys.sub_keys, grid_pairs(keys.k, kept_ranks(keys))); }

    void find(std::int32_t* ids, S* scores, const S* half0, const S* half1) {
        Size P = keys_.sub_keys, K = keys_.k;
        S *best0 = best_, *best1 = best0 + kept_, *sum = best1 + kept_;
        std::int32_t *index0 = index_, *index1 = index0 + kept_, *slot = index1 + kept_;
        top_.find(best0, index0, half0, nullptr, P, kept_);
        top_.find(best1, index1, half1, nullptr, P, kept_);
        Size pair = 0;
        for (Size i = 0; i < kept_ && i < K; ++i) {
            Size columns = grid_columns(i, K, kept_);
            auto row = static_cast<std::int32_t>(index0[i] * P);
            for (Size j = 0; j < columns; ++j) {
                sum[pair + j] = best0[i] + best1[j];
                slot[pair + j] = row + index1[j];
            }
            pair += columns;
        }
        top_.find(scores, ids, sum, slot, pairs_, K);
        if (!(scores[K - 1] == scores[K - 1])) return no_order(ids, scores, K, scores[K - 1]);
        if (outside_ties(best0, best1, K, kept_, scores[K - 1])) resolve_ties(ids, scores, K, half0, half1, P, best1[0]);
    }

  private:
    const ProductKeys& keys_;
    Size kept_, pairs_;
    TopOf<S>& top_;
    S* best_;
    std::int32_t* index_;
};

}  // namespace ENGINE_DEVICE

template <class D, class T>
void product_key_top_k(Exec& exec, std::int32_t* ids, Sum<T>* scores, Rows<const T> q, Rows<const T> subkeys, const ProductKeys& keys) {
    using S = Sum<T>;
    Size H = keys.heads, P = keys.sub_keys, K = keys.k, half = keys.half;
    Size sets = keys.sub_key_rows() / P, set_elements = tile::right_elements<S>(P, half);
    Scratch<S> packed(exec, sets * set_elements + 64);
    parallel_for(sets, [&](Size set) {
        tile::pack_right(packed.data() + set * set_elements, tile::Source<T>{subkeys.row(set * P), subkeys.stride}, Layout::transposed, 0,
                         P, 0, half);
    });
    parallel_blocks(q.rows, kQueryRows, [&](Size first, Size last) {
        Size rows = last - first;
        TopOf<S> top(SlotSearch<S>::most_values(keys));
        SlotSearch<S> search(keys, top);
        S* halves = tile::arena<2, S>(2 * rows * P);
        S* left = tile::arena<0, S>(tile::left_elements<S>(rows, half));
        for (Size h = 0; h < H; ++h) {
            for (Size part = 0; part < 2; ++part) {
                Size column = ((keys.shares_query ? 0 : h) * 2 + part) * half, set = (keys.shares_sub_keys ? 0 : h) * 2 + part;
                tile::pack_left(left, tile::Source<T>{q.data + column, q.stride}, Layout::normal, first, rows, 0, half);
                tile::multiply_panels<S>({halves + part * rows * P, P, rows}, left, packed.data() + set * set_elements, half, P, half,
                                         false);
            }
            for (Size n = 0; n < rows; ++n) {
                Size at = ((first + n) * H + h) * K;
                search.find(ids + at, scores + at, halves + n * P, halves + (rows + n) * P);
            }
        }
    });
}

template <class D, class S>
void product_key_choices(Exec&, std::int32_t* rows, S* weights, const std::int32_t* ids, Rows<const S> dscores, const ProductKeys& keys) {
    parallel_blocks(dscores.rows, kQueryRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            for (Size h = 0; h < keys.heads; ++h) {
                for (int part = 0; part < 2; ++part) {
                    Size to = half_choice(keys, n, h, part, 0);
                    for (Size k = 0; k < keys.k; ++k) {
                        rows[to + k] = sub_key_row(keys, h, part, ids[(n * keys.heads + h) * keys.k + k]);
                        weights[to + k] = dscores(n, h * keys.k + k);
                    }
                }
            }
        }
    });
}

template <class D, class T>
void low_rank_top_k(Exec& exec, std::int32_t* ids, Rows<const T> x, Rows<const T> up, Size K) {
    using S = Sum<T>;
    constexpr Size kBlockBytes = Size{4} << 20;
    Size R = x.columns, M = up.columns;
    Scratch<S> packed(exec, tile::right_elements<S>(M, R) + 64);
    constexpr Size kPanel = 16 * tile::kTileColumns<S>;
    parallel_blocks(M, kPanel, [&](Size first, Size last) {
        tile::pack_right(packed.data() + first * R, tile::Source<T>{up.data, up.stride}, Layout::normal, first, last - first, 0, R);
    });
    Size block = std::clamp<Size>(kBlockBytes / (M * static_cast<Size>(sizeof(S))) / tile::kTileRows, 1, 4) * tile::kTileRows;
    parallel_blocks(x.rows, block, [&](Size first, Size last) {
        Size rows = last - first;
        TopOf<S> top(M);
        S* scores = tile::arena<2, S>(rows * M);
        S* left = tile::arena<0, S>(tile::left_elements<S>(rows, R));
        S* best = tile::arena<8, S>(K);
        tile::pack_left(left, tile::Source<T>{x.data, x.stride}, Layout::normal, first, rows, 0, R);
        tile::multiply_panels<S>({scores, M, rows}, left, packed.data(), R, M, R, false);
        for (Size n = 0; n < rows; ++n) top.find(best, ids + (first + n) * K, scores + n * M, nullptr, M, K);
    });
}

#define INSTANTIATE(T)                                                                                                         \
    template void product_key_top_k<Here, T>(Exec&, std::int32_t*, Sum<T>*, Rows<const T>, Rows<const T>, const ProductKeys&); \
    template void low_rank_top_k<Here, T>(Exec&, std::int32_t*, Rows<const T>, Rows<const T>, Size);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE
template void product_key_choices<Here, float>(Exec&, std::int32_t*, float*, const std::int32_t*, Rows<const float>, const ProductKeys&);
template void product_key_choices<Here, double>(Exec&, std::int32_t*, double*, const std::int32_t*, Rows<const double>, const ProductKeys&);

}  // namespace moe::kernels
