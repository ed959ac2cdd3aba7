#include "moe/kernels/block_score.h"

#include "engine/base/threads.h"
#include "moe/kernels/block_score_cell.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

template <class D, class T>
void keys_side_by_side(Exec&, Rows<T> y, Rows<const T> w1) {
    Size C = y.rows, G = w1.columns, E = w1.rows / C;
    engine::parallel_for(C, [&](Size c) {
        for (Size e = 0; e < E; ++e) std::copy_n(w1.row(e * C + c), G, y.row(c) + e * G);
    });
}

template <class D, class S>
void block_score(Exec&, Rows<S> score, Rows<const S> h, Reduce reduce, engine::kernels::Activation activation) {
    Size G = h.columns / score.columns;
    engine::parallel_for(score.rows, [&](Size n) {
        for (Size e = 0; e < score.columns; ++e) score(n, e) = score_of_block(h.row(n) + e * G, G, reduce, activation);
    });
}

template void keys_side_by_side<Here, float>(Exec&, Rows<float>, Rows<const float>);
template void keys_side_by_side<Here, double>(Exec&, Rows<double>, Rows<const double>);
template void keys_side_by_side<Here, engine::bf16>(Exec&, Rows<engine::bf16>, Rows<const engine::bf16>);
template void block_score<Here, float>(Exec&, Rows<float>, Rows<const float>, Reduce, engine::kernels::Activation);
template void block_score<Here, double>(Exec&, Rows<double>, Rows<const double>, Reduce, engine::kernels::Activation);

}  // namespace moe::kernels
