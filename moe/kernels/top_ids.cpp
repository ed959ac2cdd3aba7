#include "moe/kernels/top_ids.h"

#include "engine/base/threads.h"
#include "engine/kernels/tile/arena.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/top_of.h"
#include "moe/kernels/top_order.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;
using engine::kernels::tile::arena;

inline namespace ENGINE_DEVICE {

constexpr Size kPickRows = 64, kInsertedMost = 32;

// Few of many: most scores fail against the last one kept.
template <class S>
void insert_top(std::int32_t* ids, const S* s, Size E, Size K) {
    S values[kInsertedMost];
    Size count = 0;
    for (Size e = 0; e < E; ++e) {
        S value = rankable(s[e]);
        if (count == K && !(value > values[K - 1])) continue;
        Size place = count < K ? count++ : K - 1;
        for (; place > 0 && value > values[place - 1]; --place) {
            values[place] = values[place - 1];
            ids[place] = ids[place - 1];
        }
        values[place] = value;
        ids[place] = static_cast<std::int32_t>(e);
    }
}

template <class S>
void sort_top(std::int32_t* ids, std::int32_t* kept, RankedScore<S>* order, const S* s, Size E, Size K, const DropTest& dropped) {
    for (Size e = 0; e < E; ++e) order[e] = {rankable(s[e]), static_cast<std::int32_t>(e), dropped(e, E) ? 1 : 0};
    if (K < E) std::nth_element(order, order + K, order + E, stands_before<S>);
    std::sort(order, order + K, stands_before<S>);
    for (Size k = 0; k < K; ++k) ids[k] = order[k].index;
    if (kept == nullptr) return;
    for (Size k = 0; k < K; ++k) kept[k] = order[k].dropped != 0 ? -1 : order[k].index;
}

// Many of many.
template <class S>
void find_top(TopOf<S>& top, std::int32_t* ids, S* values, const S* s, Size E, Size K) {
    for (Size e = 0; e < E; ++e) values[e] = rankable(s[e]);
    top.find(values + E, ids, values, nullptr, E, K);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void top_ids(Exec& exec, std::int32_t* ids, std::int32_t* kept, Rows<const S> s, Size K, ChoiceDropout dropout) {
    DropTest test{0, 0, 0, dropout.site, engine::drop_threshold(dropout.rate)};
    if (test.threshold != 0) test.seed = exec.scalars->seed, test.step = exec.scalars->step;
    bool sorts = test.threshold != 0, inserts = K <= kInsertedMost;
    Size E = s.columns;
    Size blocks = (s.rows + kPickRows - 1) / kPickRows;
    engine::Scratch<RankedScore<S>> orders(exec, sorts ? blocks * E : 0);
    engine::parallel_for(blocks, [&](Size block) {
        TopOf<S> top(sorts || inserts ? 0 : E);
        S* values = arena<4, S>(sorts || inserts ? 0 : E + K);
        for (Size n = block * kPickRows; n < std::min(s.rows, (block + 1) * kPickRows); ++n) {
            std::int32_t* row_kept = kept != nullptr ? kept + n * K : nullptr;
            if (sorts) {
                DropTest row = test;
                row.row = static_cast<std::uint64_t>(dropout.first_row + n);
                sort_top(ids + n * K, row_kept, orders.data() + block * E, s.row(n), E, K, row);
            } else {
                inserts ? insert_top(ids + n * K, s.row(n), E, K) : find_top(top, ids + n * K, values, s.row(n), E, K);
                if (kept != nullptr) std::copy_n(ids + n * K, K, row_kept);
            }
        }
    });
}

template void top_ids<Here, float>(Exec&, std::int32_t*, std::int32_t*, Rows<const float>, Size, ChoiceDropout);
template void top_ids<Here, double>(Exec&, std::int32_t*, std::int32_t*, Rows<const double>, Size, ChoiceDropout);

}  // namespace moe::kernels
