#include "moe/kernels/take_seats.h"

#include "engine/base/here.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

template <class D>
void take_seats(Exec& exec, std::int32_t* out, const std::int32_t* ids, Size N, Size K, Size E, Size seats) {
    engine::Scratch<Size> taken(exec, E);
    std::fill_n(taken.data(), E, Size{0});
    for (Size k = 0; k < K; ++k) {
        for (Size n = 0; n < N; ++n) {
            std::int32_t expert = ids[n * K + k];
            out[n * K + k] = expert >= 0 && taken[expert]++ < seats ? expert : -1;
        }
    }
}

template void take_seats<Here>(Exec&, std::int32_t*, const std::int32_t*, Size, Size, Size, Size);

}  // namespace moe::kernels
