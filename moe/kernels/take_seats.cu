#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/take_seats.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kSeatRows = 128;

// counts[k,c,e]: choices number k of expert e in rows [128·c, 128·(c+1)). One block (c, k).
__global__ void count_seats_kernel(std::int32_t* counts, const std::int32_t* ids, Size N, Size K, Size E) {
    Size first = static_cast<Size>(blockIdx.x) * kSeatRows, last = first + kSeatRows < N ? first + kSeatRows : N;
    std::int32_t* out = counts + (static_cast<Size>(blockIdx.y) * gridDim.x + blockIdx.x) * E;
    for (Size e = threadIdx.x; e < E; e += blockDim.x) {
        std::int32_t count = 0;
        for (Size n = first; n < last; ++n) count += ids[n * K + blockIdx.y] == e ? 1 : 0;
        out[e] = count;
    }
}

// Counts become the number of choices that stand before each chunk. One thread an expert.
__global__ void sum_seats_kernel(std::int32_t* counts, Size chunks, Size E) {
    Size e = engine::element_index();
    if (e >= E) return;
    std::int32_t before = 0;
    for (Size chunk = 0; chunk < chunks; ++chunk) {
        std::int32_t here = counts[chunk * E + e];
        counts[chunk * E + e] = before;
        before += here;
    }
}

// One thread a choice.
__global__ void take_seats_kernel(std::int32_t* out, const std::int32_t* ids, const std::int32_t* before, Size N, Size K, Size E,
                                  Size seats) {
    Size first = static_cast<Size>(blockIdx.x) * kSeatRows, n = first + threadIdx.x, k = blockIdx.y;
    if (n >= N) return;
    std::int32_t expert = ids[n * K + k];
    Size seat = expert >= 0 ? before[(k * gridDim.x + blockIdx.x) * E + expert] : 0;
    for (Size m = first; m < n; ++m) seat += ids[m * K + k] == expert ? 1 : 0;
    out[n * K + k] = expert >= 0 && seat < seats ? expert : -1;
}

}  // namespace ENGINE_DEVICE

template <class D>
void take_seats(Exec& exec, std::int32_t* out, const std::int32_t* ids, Size N, Size K, Size E, Size seats) {
    Size chunks = (N + kSeatRows - 1) / kSeatRows;
    engine::Scratch<std::int32_t> counts(exec, K * chunks * E);
    dim3 grid(static_cast<unsigned>(chunks), static_cast<unsigned>(K));
    engine::launch("count_seats_kernel", count_seats_kernel, grid, kSeatRows, 0, exec.stream, counts.data(), ids, N, K, E);
    engine::launch("sum_seats_kernel", sum_seats_kernel, engine::element_grid(E), engine::kElementThreads, 0, exec.stream, counts.data(),
                   K * chunks, E);
    engine::launch("take_seats_kernel", take_seats_kernel, grid, kSeatRows, 0, exec.stream, out, ids, counts.data(), N, K, E, seats);
}

template void take_seats<Here>(Exec&, std::int32_t*, const std::int32_t*, Size, Size, Size, Size);

}  // namespace moe::kernels
