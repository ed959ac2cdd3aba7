#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/block_score.h"
#include "moe/kernels/block_score_cell.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

// One thread an element.
template <class T>
__global__ void keys_side_by_side_kernel(Rows<T> y, Rows<const T> w1) {
    Size i = engine::element_index();
    if (i >= y.rows * y.columns) return;
    Size c = i / y.columns, j = i % y.columns;
    y(c, j) = w1(j / w1.columns * y.rows + c, j % w1.columns);
}

// One thread a block's score.
template <class S>
__global__ void block_score_kernel(Rows<S> score, Rows<const S> h, Reduce reduce, engine::kernels::Activation activation) {
    Size i = engine::element_index();
    if (i >= score.rows * score.columns) return;
    Size n = i / score.columns, e = i % score.columns, G = h.columns / score.columns;
    score(n, e) = score_of_block(h.row(n) + e * G, G, reduce, activation);
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void keys_side_by_side(Exec& exec, Rows<T> y, Rows<const T> w1) {
    engine::launch("keys_side_by_side_kernel", keys_side_by_side_kernel<T>, engine::element_grid(y.rows * y.columns),
                   engine::kElementThreads, 0, exec.stream, y, w1);
}

template <class D, class S>
void block_score(Exec& exec, Rows<S> score, Rows<const S> h, Reduce reduce, engine::kernels::Activation activation) {
    engine::launch("block_score_kernel", block_score_kernel<S>, engine::element_grid(score.rows * score.columns), engine::kElementThreads,
                   0, exec.stream, score, h, reduce, activation);
}

template void keys_side_by_side<Here, float>(Exec&, Rows<float>, Rows<const float>);
template void keys_side_by_side<Here, engine::bf16>(Exec&, Rows<engine::bf16>, Rows<const engine::bf16>);
template void block_score<Here, float>(Exec&, Rows<float>, Rows<const float>, Reduce, engine::kernels::Activation);

}  // namespace moe::kernels
