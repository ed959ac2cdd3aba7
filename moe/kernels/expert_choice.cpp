#include "moe/kernels/expert_choice.h"

#include "engine/base/threads.h"
#include "engine/kernels/column_blocks.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kChooserRows = 64;

template <class S>
struct LikedRow {
    S value;
    std::int32_t row;
    bool operator<(const LikedRow& other) const { return value != other.value ? value > other.value : row < other.row; }
};

}  // namespace ENGINE_DEVICE

template <class D, class S>
void best_rows(Exec& exec, std::int32_t* rows, Rows<const S> p, Size seats) {
    engine::Scratch<LikedRow<S>> orders(exec, p.columns * p.rows);
    engine::parallel_for(p.columns, [&](Size e) {
        LikedRow<S>* order = orders.data() + e * p.rows;
        for (Size n = 0; n < p.rows; ++n) order[n] = {p(n, e) > S(0) ? p(n, e) : S(0), static_cast<std::int32_t>(n)};
        if (seats < p.rows) std::nth_element(order, order + seats, order + p.rows);
        std::sort(order, order + seats);
        for (Size s = 0; s < seats; ++s) rows[e * seats + s] = order[s].row;
    });
}

template <class D, class S>
void spread_rows(Exec&, std::int32_t* kept, S* gates, const std::int32_t* rows, Rows<const S> p, Size first, Size seats) {
    Size E = p.columns;
    std::fill_n(kept, p.rows * E, -1);
    std::fill_n(gates, p.rows * E, S(0));
    for (Size i = 0; i < E * seats; ++i) {
        Size n = rows[i] - first, e = i / seats;
        if (n < 0 || n >= p.rows) continue;
        kept[n * E + e] = static_cast<std::int32_t>(e);
        gates[n * E + e] = p(n, e);
    }
}

template <class D, class S>
void gather_gates(Exec&, S* gates, const std::int32_t* rows, Rows<const S> p, Size seats) {
    for (Size i = 0; i < p.columns * seats; ++i) gates[i] = p(rows[i], i / seats);
}

template <class D, class S>
void expert_choice_sums(Exec& exec, S* sums, Rows<const S> p, const std::int32_t* kept, const S* dgates) {
    S* outs[1] = {sums};
    engine::kernels::sum_columns<1>(exec, outs, p.rows, p.columns, false, [&](Size n, S* const(&out)[1]) {
        for (Size e = 0; e < p.columns; ++e) {
            Size i = n * p.columns + e;
            if (kept[i] >= 0) out[0][e] += p(n, e) * dgates[i];
        }
    });
}

template <class D, class S>
void expert_choice_backward(Exec&, Rows<S> dz, Rows<const S> p, const std::int32_t* kept, const S* dgates, const S* sums) {
    Size E = p.columns;
    engine::parallel_blocks(p.rows, kChooserRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            S row_sum = 0;
            for (Size e = 0; sums == nullptr && e < E; ++e) row_sum += kept[n * E + e] >= 0 ? p(n, e) * dgates[n * E + e] : S(0);
            for (Size e = 0; e < E; ++e) {
                S d = kept[n * E + e] >= 0 ? dgates[n * E + e] : S(0);
                dz(n, e) = p(n, e) * (d - (sums != nullptr ? sums[e] : row_sum));
            }
        }
    });
}

#define INSTANTIATE(S)                                                                                            \
    template void best_rows<Here, S>(Exec&, std::int32_t*, Rows<const S>, Size);                                  \
    template void spread_rows<Here, S>(Exec&, std::int32_t*, S*, const std::int32_t*, Rows<const S>, Size, Size); \
    template void gather_gates<Here, S>(Exec&, S*, const std::int32_t*, Rows<const S>, Size);                     \
    template void expert_choice_sums<Here, S>(Exec&, S*, Rows<const S>, const std::int32_t*, const S*);           \
    template void expert_choice_backward<Here, S>(Exec&, Rows<S>, Rows<const S>, const std::int32_t*, const S*, const S*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
