#define ENGINE_HERE_simt 1
#include "tests/support/simt_kernels.h"

#include "engine/base/here.h"
#include "engine/cuda/launch.h"

#include <string_view>

namespace simt_kernels {

using engine::block_max;
using engine::block_sum;
using engine::dynamic_shared;
using engine::launch;
using engine::shared_memory;

// Sums of floats would depend on the order of the threads.
template <class T>
concept AddsAtomically = requires(T* address, T value) {
    atomicAdd(address, value);
};
static_assert(AddsAtomically<int> && AddsAtomically<unsigned> && !AddsAtomically<float> && !AddsAtomically<double>);

struct Tile {
    int value[1024];
};
struct Large {
    char bytes[(48 << 10) + 1];
};

__global__ void thread_numbers_kernel(int* y) {
    y[blockIdx.x * blockDim.x + threadIdx.x] = static_cast<int>(blockIdx.x * 10000 + threadIdx.x);
}
std::vector<int> thread_numbers(unsigned blocks, unsigned threads) {
    std::vector<int> y(blocks * threads, -1);
    launch("thread_numbers_kernel", thread_numbers_kernel, blocks, threads, 0, nullptr, y.data());
    return y;
}

__global__ void block_sums_kernel(float* y, const float* x, float* of_thread) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    of_thread[i] = block_sum(x[i]);
    if (threadIdx.x == 0) y[blockIdx.x] = of_thread[i];
}
std::vector<float> block_sums(const std::vector<float>& x, unsigned blocks, unsigned threads) {
    std::vector<float> y(blocks), of_thread(x.size());
    launch("block_sums_kernel", block_sums_kernel, blocks, threads, 0, nullptr, y.data(), x.data(), of_thread.data());
    return of_thread;
}

__global__ void block_maxima_kernel(float* y, const float* x) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = block_max(x[i], -INFINITY);
}
std::vector<float> block_maxima(const std::vector<float>& x, unsigned blocks, unsigned threads) {
    std::vector<float> y(x.size());
    launch("block_maxima_kernel", block_maxima_kernel, blocks, threads, 0, nullptr, y.data(), x.data());
    return y;
}

__global__ void reverse_kernel(int* y, const int* x) {
    auto& tile = shared_memory<Tile>();
    tile.value[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile.value[blockDim.x - 1 - threadIdx.x];
}
std::vector<int> reverse_through_shared(const std::vector<int>& x, unsigned threads) {
    std::vector<int> y(x.size());
    launch("reverse_kernel", reverse_kernel, 1, threads, 0, nullptr, y.data(), x.data());
    return y;
}

__global__ void shuffle_kernel(int* y, char which, int argument, int width) {
    int i = static_cast<int>(threadIdx.x), value = 100 + i;
    if (which == 'i') y[i] = __shfl_sync(~0u, value, argument, width);
    if (which == 'x') y[i] = __shfl_xor_sync(~0u, value, argument, width);
    if (which == 'd') y[i] = __shfl_down_sync(~0u, value, static_cast<unsigned>(argument), width);
    if (which == 'u') y[i] = __shfl_up_sync(~0u, value, static_cast<unsigned>(argument), width);
}
std::vector<int> shuffled(const char* which, int argument, int width) {
    std::vector<int> y(32);
    launch("shuffle_kernel", shuffle_kernel, 1, 32, 0, nullptr, y.data(), *which, argument, width);
    return y;
}

__global__ void votes_kernel(unsigned* y, unsigned mask) {
    unsigned lane = threadIdx.x;
    if (!(mask >> lane & 1)) return;
    y[lane] = __ballot_sync(mask, lane % 3 == 0);
    y[32 + lane] = static_cast<unsigned>(__any_sync(mask, lane == 5) + 2 * __all_sync(mask, lane < 32) + 4 * __all_sync(mask, lane != 5));
}
std::vector<unsigned> votes(unsigned mask) {
    std::vector<unsigned> y(64, 77);
    launch("votes_kernel", votes_kernel, 1, 32, 0, nullptr, y.data(), mask);
    return y;
}

__global__ void shuffle_wide_kernel(long long* y) { y[threadIdx.x] = __shfl_xor_sync(~0u, (1ll << 40) + threadIdx.x, 1); }
std::vector<long long> shuffled_wide() {
    std::vector<long long> y(64);
    launch("shuffle_wide_kernel", shuffle_wide_kernel, 1, 64, 0, nullptr, y.data());
    return y;
}

__global__ void count_kernel(int* total) {
    auto& here = shared_memory<int>();
    if (threadIdx.x == 0) here = 0;
    __syncthreads();
    atomicAdd(&here, 1);
    __syncthreads();
    if (threadIdx.x == 0) atomicAdd(total, here);
}
int count_with_atomics(unsigned blocks, unsigned threads) {
    int total = 0;
    launch("count_kernel", count_kernel, blocks, threads, 0, nullptr, &total);
    return total;
}

__global__ void coordinates_kernel(int* y) {
    unsigned linear = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    ++y[block * blockDim.x * blockDim.y * blockDim.z + linear];
}
std::vector<int> coordinates(unsigned x, unsigned y, unsigned z) {
    std::vector<int> seen(x * y * z * x * y * z);
    launch("coordinates_kernel", coordinates_kernel, dim3(x, y, z), dim3(x, y, z), 0, nullptr, seen.data());
    return seen;
}

__global__ void unwritten_kernel(float* y) { *y = shared_memory<float>(); }
float unwritten_shared() {
    float y = 0;
    launch("unwritten_kernel", unwritten_kernel, 1, 1, 0, nullptr, &y);
    return y;
}
__global__ void unwritten_dynamic_kernel(float* y, unsigned last) { *y = (&dynamic_shared<float>())[last]; }
float unwritten_dynamic(std::size_t bytes) {
    float y = 0;
    launch("unwritten_dynamic_kernel", unwritten_dynamic_kernel, 1, 1, bytes, nullptr, &y, static_cast<unsigned>(bytes / 4 - 1));
    return y;
}

__global__ void nothing_kernel() {}
void nothing(unsigned blocks, unsigned threads, std::size_t dynamic_bytes) {
    launch("nothing_kernel", nothing_kernel, blocks, threads, dynamic_bytes, nullptr);
}
__global__ void barriers_kernel(int count) {
    for (int i = 0; i < count; ++i) __syncthreads();
}
void barriers(unsigned threads, int count) { launch("barriers_kernel", barriers_kernel, 1, threads, 0, nullptr, count); }

__global__ void other_barrier_kernel() {
    if (threadIdx.x < 16) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}
void other_barrier() { launch("other_barrier_kernel", other_barrier_kernel, 1, 64, 0, nullptr); }

__global__ void early_exit_kernel() {
    if (threadIdx.x >= 40) return;
    __syncthreads();
}
void early_exit() { launch("early_exit_kernel", early_exit_kernel, 2, 64, 0, nullptr); }

__global__ void barrier_in_branch_kernel() {
    if (threadIdx.x % 2 == 0) __syncthreads();
}
void barrier_in_branch() { launch("barrier_in_branch_kernel", barrier_in_branch_kernel, 1, 8, 0, nullptr); }

__global__ void missing_lane_kernel() {
    if (threadIdx.x != 7) __shfl_sync(~0u, 1, 0);
}
void missing_lane() { launch("missing_lane_kernel", missing_lane_kernel, 1, 64, 0, nullptr); }

__global__ void mask_lacks_caller_kernel() { __ballot_sync(0xfffffffeu, 1); }
void mask_lacks_caller() { launch("mask_lacks_caller_kernel", mask_lacks_caller_kernel, 1, 32, 0, nullptr); }

__global__ void source_outside_mask_kernel() {
    if (threadIdx.x < 16) __shfl_sync(0xffffu, 1, 20);
}
void source_outside_mask() { launch("source_outside_mask_kernel", source_outside_mask_kernel, 1, 32, 0, nullptr); }

__global__ void mask_beyond_block_kernel() { __syncwarp(); }
void mask_beyond_block() { launch("mask_beyond_block_kernel", mask_beyond_block_kernel, 1, 48, 0, nullptr); }

__global__ void two_shuffles_kernel() {
    if (threadIdx.x < 16) {
        __shfl_sync(~0u, 1, 0);
    } else {
        __shfl_sync(~0u, 2, 0);
    }
}
void two_shuffles() { launch("two_shuffles_kernel", two_shuffles_kernel, 1, 32, 0, nullptr); }

__global__ void too_much_static_kernel() { shared_memory<Large>().bytes[0] = 1; }
void too_much_static() { launch("too_much_static_kernel", too_much_static_kernel, 1, 1, 0, nullptr); }

__global__ void too_much_dynamic_kernel() { dynamic_shared<Tile>().value[0] = 1; }
void too_much_dynamic() { launch("too_much_dynamic_kernel", too_much_dynamic_kernel, 1, 1, sizeof(Tile) - 1, nullptr); }

__global__ void write_behind_kernel(int at) {
    int* values = shared_memory<Tile>().value;
    values[at] = -1;
}
void write_behind_shared() { launch("write_behind_kernel", write_behind_kernel, 1, 1, 0, nullptr, 1024); }

__global__ void launching_kernel() { nothing(1, 1, 0); }
void launch_in_kernel() { launch("launching_kernel", launching_kernel, 1, 1, 0, nullptr); }

struct Counted {
    int* alive;
    explicit Counted(int* count) : alive(count) { ++*alive; }
    ~Counted() { --*alive; }
};
__global__ void objects_kernel(int* alive) {
    Counted here(alive);
    if (threadIdx.x == 63) return;
    __syncthreads();
}
void fails_with_objects(int* alive) { launch("objects_kernel", objects_kernel, 1, 64, 0, nullptr, alive); }

__global__ void missing_barrier_kernel(int* y) {
    auto& tile = shared_memory<Tile>();
    tile.value[threadIdx.x] = static_cast<int>(threadIdx.x);
    y[threadIdx.x] = tile.value[(threadIdx.x + 1) % blockDim.x];
}
std::vector<int> missing_barrier(unsigned threads) {
    std::vector<int> y(threads);
    launch("missing_barrier_kernel", missing_barrier_kernel, 1, threads, 0, nullptr, y.data());
    return y;
}

}  // namespace simt_kernels
