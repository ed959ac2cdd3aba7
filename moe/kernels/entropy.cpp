#include "moe/kernels/entropy.h"

#include "engine/base/threads.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/entropy_row.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kEntropyRows = 64;

}  // namespace ENGINE_DEVICE

template <class D, class S>
void entropy_leaf(Exec& exec, S* most, S* sum, Rows<const S> z) {
    Size E = z.columns, blocks = (z.rows + kEntropyRows - 1) / kEntropyRows;
    engine::Scratch<S> partial(exec, blocks * 2 * E);
    engine::parallel_for(blocks, [&](Size block) {
        S* block_most = partial.data() + block * 2 * E;
        S* block_sum = block_most + E;
        std::fill_n(block_most, 2 * E, S(0));
        for (Size n = block * kEntropyRows; n < std::min(z.rows, (block + 1) * kEntropyRows); ++n) {
            S lse = log_sum_exp(z.row(n), E);
            for (Size e = 0; e < E; ++e) merge(block_most[e], block_sum[e], z(n, e) - lse, S(1));
        }
    });
    std::fill_n(most, E, S(0));
    std::fill_n(sum, E, S(0));
    for (Size block = 0; block < blocks; ++block) {
        const S* in = partial.data() + block * 2 * E;
        for (Size e = 0; e < E; ++e) merge(most[e], sum[e], in[e], in[E + e]);
    }
}

template <class D, class S>
void entropy_finish(Exec&, S* log_p, S* loss, Rows<const S> leaves, Size E, double rows) {
    S total = 0;
    for (Size e = 0; e < E; ++e) {
        S most, sum;
        merge_tree(leaves, E, e, 0, leaves.rows, most, sum);
        log_p[e] = most + std::log(sum) - static_cast<S>(std::log(rows));
        total += std::exp(log_p[e]) * log_p[e];
    }
    *loss = total;
}

template <class D, class S>
void entropy_backward(Exec&, Rows<S> dz, bool add, Rows<const S> z, const S* log_p, double scale) {
    engine::parallel_blocks(z.rows, kEntropyRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) entropy_row_backward(dz.row(n), add, z.row(n), log_p, z.columns, static_cast<S>(scale));
    });
}

#define INSTANTIATE(S)                                                                 \
    template void entropy_leaf<Here, S>(Exec&, S*, S*, Rows<const S>);                 \
    template void entropy_finish<Here, S>(Exec&, S*, S*, Rows<const S>, Size, double); \
    template void entropy_backward<Here, S>(Exec&, Rows<S>, bool, Rows<const S>, const S*, double);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace moe::kernels
