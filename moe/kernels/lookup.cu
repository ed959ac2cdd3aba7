#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/lookup.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

// One thread a choice.
__global__ void lookup_kernel(std::int32_t* ids, const std::int32_t* table, const std::int32_t* tokens, Size N, Size K) {
    Size i = engine::element_index();
    if (i < N * K) ids[i] = table[tokens[i / K] * K + i % K];
}

}  // namespace ENGINE_DEVICE

template <class D>
void lookup(Exec& exec, std::int32_t* ids, const std::int32_t* table, const std::int32_t* tokens, Size N, Size K) {
    engine::launch("lookup_kernel", lookup_kernel, engine::element_grid(N * K), engine::kElementThreads, 0, exec.stream, ids, table, tokens,
                   N, K);
}

template void lookup<Here>(Exec&, std::int32_t*, const std::int32_t*, const std::int32_t*, Size, Size);

}  // namespace moe::kernels
