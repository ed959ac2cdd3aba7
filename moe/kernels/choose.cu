#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/choose.h"
#include "moe/kernels/choose_row.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kChoiceThreads = 64;

// One thread a row.
template <class S>
__global__ void choose_kernel(std::int32_t* ids, S* gates, Rows<const S> z, Size K, Gate gate, ChoiceDropout dropout,
                              const engine::StepScalars* scalars) {
    Size n = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (n >= z.rows) return;
    DropTest test{0, 0, static_cast<std::uint64_t>(dropout.first_row + n), dropout.site, engine::drop_threshold(dropout.rate)};
    if (test.threshold != 0) {
        test.seed = scalars->seed;
        test.step = scalars->step;
    }
    choose_row(ids + n * K, gates + n * K, z.row(n), z.columns, K, gate, test);
}

template <class S>
__global__ void choose_backward_kernel(Rows<S> dz, const S* dgates, const std::int32_t* ids, const S* gates, Rows<const S> z, Size K,
                                       Gate gate) {
    Size n = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (n < z.rows) choose_row_backward(dz.row(n), dgates + n * K, ids + n * K, gates + n * K, z.row(n), z.columns, K, gate);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void choose(Exec& exec, std::int32_t* ids, S* gates, Rows<const S> z, Size K, Gate gate, ChoiceDropout dropout) {
    if (z.rows == 0) return;
    engine::launch("choose_kernel", choose_kernel<S>, dim3(static_cast<unsigned>((z.rows + kChoiceThreads - 1) / kChoiceThreads)),
                   kChoiceThreads, 0, exec.stream, ids, gates, z, K, gate, dropout, exec.scalars);
}

template <class D, class S>
void choose_backward(Exec& exec, Rows<S> dz, const S* dgates, const std::int32_t* ids, const S* gates, Rows<const S> z, Size K, Gate gate) {
    if (z.rows == 0) return;
    engine::launch("choose_backward_kernel", choose_backward_kernel<S>,
                   dim3(static_cast<unsigned>((z.rows + kChoiceThreads - 1) / kChoiceThreads)), kChoiceThreads, 0, exec.stream, dz, dgates,
                   ids, gates, z, K, gate);
}

template void choose<Here, float>(Exec&, std::int32_t*, float*, Rows<const float>, Size, Gate, ChoiceDropout);
template void choose_backward<Here, float>(Exec&, Rows<float>, const float*, const std::int32_t*, const float*, Rows<const float>, Size,
                                           Gate);

}  // namespace moe::kernels
