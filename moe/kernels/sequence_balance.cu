#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/sequence_balance.h"
#include "moe/kernels/sequence_balance_row.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kSequenceThreads = 128;

// The largest logit and the sum of scores of each row, (N,2). One thread a row.
template <class S>
__global__ void share_sums_kernel(S* most_and_sum, Rows<const S> z, Score score) {
    Size n = engine::element_index();
    if (n >= z.rows) return;
    ShareRow<S> row(z.row(n), z.columns, score);
    most_and_sum[2 * n] = row.most;
    most_and_sum[2 * n + 1] = row.sum;
}

// One block (expert, sequence).
template <class S>
__global__ void sequence_sums_kernel(Rows<S> sums, Rows<const S> z, const S* most_and_sum, const std::int32_t* ids, Size K, Size T,
                                     Score score) {
    Size e = blockIdx.x, first = static_cast<Size>(blockIdx.y) * T;
    S share = 0;
    std::int32_t count = 0;
    for (Size n = first + threadIdx.x; n < first + T; n += blockDim.x) {
        share += (score == Score::softmax ? std::exp(z(n, e) - most_and_sum[2 * n]) : logistic(z(n, e))) / most_and_sum[2 * n + 1];
        for (Size k = 0; k < K; ++k) count += ids[n * K + k] == e ? 1 : 0;
    }
    share = engine::block_sum(share);
    count = engine::block_sum(count);
    if (threadIdx.x != 0) return;
    sums(blockIdx.y, e) = share;
    sums(blockIdx.y, z.columns + e) = static_cast<S>(count);
}

template <class S>
__global__ void sequence_loss_kernel(S* sum, Rows<const S> sums, Size K, Size T) {
    S total = 0;
    for (Size sequence = threadIdx.x; sequence < sums.rows; sequence += blockDim.x)
        total += loss_of_sequence(sums.row(sequence), sums.columns / 2, K, T);
    total = engine::block_sum(total);
    if (threadIdx.x == 0) *sum = total;
}

// One thread a row.
template <class S>
__global__ void sequence_balance_backward_kernel(Rows<S> dz, bool add, Rows<const S> z, Rows<const S> sums, Size rows_a_sum, Score score,
                                                 S factor) {
    Size n = engine::element_index();
    if (n < z.rows) sequence_row_backward(dz.row(n), add, z.row(n), sums.row(n / rows_a_sum) + z.columns, z.columns, score, factor);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void sequence_sums(Exec& exec, Rows<S> sums, Rows<const S> z, const std::int32_t* ids, Size K, Size T, Score score) {
    engine::Scratch<S> most_and_sum(exec, 2 * z.rows);
    engine::launch("share_sums_kernel", share_sums_kernel<S>, engine::element_grid(z.rows), engine::kElementThreads, 0, exec.stream,
                   most_and_sum.data(), z, score);
    engine::launch("sequence_sums_kernel", sequence_sums_kernel<S>,
                   dim3(static_cast<unsigned>(z.columns), static_cast<unsigned>(sums.rows)), kSequenceThreads, 0, exec.stream, sums, z,
                   most_and_sum.data(), ids, K, T, score);
}

template <class D, class S>
void sequence_loss(Exec& exec, S* sum, Rows<const S> sums, Size K, Size T) {
    engine::launch("sequence_loss_kernel", sequence_loss_kernel<S>, dim3(1), kSequenceThreads, 0, exec.stream, sum, sums, K, T);
}

template <class D, class S>
void sequence_balance_backward(Exec& exec, Rows<S> dz, bool add, Rows<const S> z, Rows<const S> sums, Size K, Size T, Size rows_a_sum,
                               Score score, double scale) {
    S factor = static_cast<S>(scale) * static_cast<S>(z.columns) / (static_cast<S>(K) * static_cast<S>(T));
    engine::launch("sequence_balance_backward_kernel", sequence_balance_backward_kernel<S>, engine::element_grid(z.rows),
                   engine::kElementThreads, 0, exec.stream, dz, add, z, sums, rows_a_sum, score, factor);
}

template void sequence_sums<Here, float>(Exec&, Rows<float>, Rows<const float>, const std::int32_t*, Size, Size, Score);
template void sequence_loss<Here, float>(Exec&, float*, Rows<const float>, Size, Size);
template void sequence_balance_backward<Here, float>(Exec&, Rows<float>, bool, Rows<const float>, Rows<const float>, Size, Size, Size,
                                                     Score, double);

}  // namespace moe::kernels
