#include "moe/kernels/lookup.h"

#include "engine/base/here.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

template <class D>
void lookup(Exec&, std::int32_t* ids, const std::int32_t* table, const std::int32_t* tokens, Size N, Size K) {
    for (Size n = 0; n < N; ++n) std::copy_n(table + tokens[n] * K, K, ids + n * K);
}

template void lookup<Here>(Exec&, std::int32_t*, const std::int32_t*, const std::int32_t*, Size, Size);

}  // namespace moe::kernels
