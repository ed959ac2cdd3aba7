#include "moe/kernels/sequence_balance.h"

#include "engine/base/threads.h"
#include "moe/kernels/sequence_balance_row.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

template <class D, class S>
void sequence_sums(Exec&, Rows<S> sums, Rows<const S> z, const std::int32_t* ids, Size K, Size T, Score score) {
    Size E = z.columns;
    engine::parallel_for(sums.rows, [&](Size sequence) {
        S* shares = sums.row(sequence);
        S* counts = shares + E;
        std::fill_n(shares, 2 * E, S(0));
        for (Size n = sequence * T; n < (sequence + 1) * T; ++n) {
            ShareRow<S> row(z.row(n), E, score);
            for (Size e = 0; e < E; ++e) shares[e] += row.share(e);
            for (Size k = 0; k < K; ++k) counts[ids[n * K + k]] += S(1);
        }
    });
}

template <class D, class S>
void sequence_loss(Exec&, S* sum, Rows<const S> sums, Size K, Size T) {
    S total = 0;
    for (Size sequence = 0; sequence < sums.rows; ++sequence) total += loss_of_sequence(sums.row(sequence), sums.columns / 2, K, T);
    *sum = total;
}

template <class D, class S>
void sequence_balance_backward(Exec&, Rows<S> dz, bool add, Rows<const S> z, Rows<const S> sums, Size K, Size T, Size rows_a_sum,
                               Score score, double scale) {
    constexpr Size kRows = 64;
    S factor = static_cast<S>(scale) * static_cast<S>(z.columns) / (static_cast<S>(K) * static_cast<S>(T));
    engine::parallel_blocks(z.rows, kRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n)
            sequence_row_backward(dz.row(n), add, z.row(n), sums.row(n / rows_a_sum) + z.columns, z.columns, score, factor);
    });
}

#define INSTANTIATE(S)                                                                                           \
    template void sequence_sums<Here, S>(Exec&, Rows<S>, Rows<const S>, const std::int32_t*, Size, Size, Score); \
    template void sequence_loss<Here, S>(Exec&, S*, Rows<const S>, Size, Size);                                  \
    template void sequence_balance_backward<Here, S>(Exec&, Rows<S>, bool, Rows<const S>, Rows<const S>, Size, Size, Size, Score, double);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
