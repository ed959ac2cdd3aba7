#define ENGINE_HERE_simt 1
#include "tests/support/simt_races.h"

#include "engine/base/here.h"
#include "engine/cuda/launch.h"

namespace simt_races {

using engine::launch;
using engine::shared_memory;

struct Row {
    int value[64];
};

bool watched() {
#ifdef __SANITIZE_THREAD__
    return true;
#else
    return false;
#endif
}

__global__ void read_unwritten_kernel(int* y) {
    auto& row = shared_memory<Row>();
    if (threadIdx.x != 3) row.value[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = row.value[threadIdx.x];
}
void read_unwritten() {
    int y[64];
    launch("read_unwritten_kernel", read_unwritten_kernel, 1, 64, 0, nullptr, y);
}

__global__ void write_write_kernel() { shared_memory<Row>().value[threadIdx.x / 2] = 1; }
void write_write() { launch("write_write_kernel", write_write_kernel, 1, 64, 0, nullptr); }

__global__ void write_then_read_kernel(int* y) {
    auto& row = shared_memory<Row>();
    if (threadIdx.x == 0) row.value[5] = 1;
    if (threadIdx.x == 40) *y = row.value[5];
}
void write_then_read() {
    int y;
    launch("write_then_read_kernel", write_then_read_kernel, 1, 64, 0, nullptr, &y);
}

__global__ void read_then_write_kernel(int* y) {
    auto& row = shared_memory<Row>();
    row.value[threadIdx.x] = 1;
    __syncthreads();
    if (threadIdx.x == 0) *y = row.value[5];
    if (threadIdx.x == 40) row.value[5] = 2;
}
void read_then_write() {
    int y;
    launch("read_then_write_kernel", read_then_write_kernel, 1, 64, 0, nullptr, &y);
}

__global__ void missing_second_barrier_kernel(int* y) {
    auto& row = shared_memory<Row>();
    for (int turn = 0; turn < 2; ++turn) {
        row.value[threadIdx.x] = turn;
        __syncthreads();
        y[threadIdx.x] = row.value[63 - threadIdx.x];
    }
}
void missing_second_barrier() {
    int y[64];
    launch("missing_second_barrier_kernel", missing_second_barrier_kernel, 1, 64, 0, nullptr, y);
}

__global__ void shuffle_is_no_barrier_kernel(int* y) {
    auto& row = shared_memory<Row>();
    row.value[threadIdx.x] = 1;
    __shfl_sync(~0u, 1, 0);
    y[threadIdx.x] = row.value[threadIdx.x ^ 1];
}
void shuffle_is_no_barrier() {
    int y[32];
    launch("shuffle_is_no_barrier_kernel", shuffle_is_no_barrier_kernel, 1, 32, 0, nullptr, y);
}

__global__ void read_between_slots_kernel(int* y, int at) {
    int* values = shared_memory<Row>().value;
    values[0] = 1;
    *y = values[at];
}
void read_between_slots() {
    int y;
    launch("read_between_slots_kernel", read_between_slots_kernel, 1, 1, 0, nullptr, &y, 64);
}

__global__ void blocks_write_kernel(int* y) { y[threadIdx.x] = 1; }
void blocks_write_one_place() {
    int y[2];
    launch("blocks_write_kernel", blocks_write_kernel, 3, 2, 0, nullptr, y);
}

__global__ void blocks_read_kernel(int* y) { y[blockIdx.x] = y[(blockIdx.x + 1) % gridDim.x] + 1; }
void blocks_read_each_other() {
    int y[2] = {};
    launch("blocks_read_kernel", blocks_read_kernel, 2, 1, 0, nullptr, y);
}

__global__ void global_without_barrier_kernel(int* y) { y[threadIdx.x] = y[threadIdx.x ^ 1] + 1; }
void global_without_barrier() {
    int y[2] = {};
    launch("global_without_barrier_kernel", global_without_barrier_kernel, 1, 2, 0, nullptr, y);
}

// Local arrays stand on stacks that the threads hand on; two launches are ordered.
__global__ void right_global_kernel(int* y, int* total) {
    int local[8];
    for (int i = 0; i < 8; ++i) local[i] = i * static_cast<int>(threadIdx.x + 1);
    unsigned first = blockIdx.x * blockDim.x;
    y[first + threadIdx.x] = local[threadIdx.x % 8];
    __syncthreads();
    int other = y[first + (threadIdx.x + 1) % blockDim.x];
    __syncthreads();
    y[first + threadIdx.x] += other;
    atomicAdd(total, 1);
}
void right_global(int* y) {
    int total = 0;
    for (int i = 0; i < 2; ++i) launch("right_global_kernel", right_global_kernel, 2, 64, 0, nullptr, y, &total);
    y[0] = total;
}

__global__ void right_block_kernel(int* y) {
    y += blockIdx.x * blockDim.x;
    auto& row = shared_memory<Row>();
    for (int turn = 0; turn < 2; ++turn) {
        row.value[threadIdx.x] = static_cast<int>(threadIdx.x) + turn;
        __syncthreads();
        y[threadIdx.x] = row.value[63 - threadIdx.x];
        __syncthreads();
    }
}
void right_block_exchange(int* y) { launch("right_block_kernel", right_block_kernel, 2, 64, 0, nullptr, y); }

__global__ void right_warp_kernel(int* y) {
    auto& row = shared_memory<Row>();
    row.value[threadIdx.x] = static_cast<int>(threadIdx.x);
    __syncwarp();
    y[threadIdx.x] = row.value[threadIdx.x ^ 31];
    __syncwarp();
    row.value[threadIdx.x] = 0;
}
void right_warp_exchange(int* y) { launch("right_warp_kernel", right_warp_kernel, 1, 64, 0, nullptr, y); }

__global__ void right_reductions_kernel(float* y) {
    float value = static_cast<float>(threadIdx.x);
    y[threadIdx.x] = engine::block_sum(value) + engine::block_max(value, -INFINITY) + engine::block_sum(value);
}
void right_reductions(float* y) { launch("right_reductions_kernel", right_reductions_kernel, 1, 128, 0, nullptr, y); }

__global__ void right_atomics_kernel(int* y) {
    auto& total = shared_memory<int>();
    if (threadIdx.x == 0) total = 0;
    __syncthreads();
    atomicAdd(&total, 1);
    atomicMax(&total, 0);
    __syncthreads();
    if (threadIdx.x == 0) *y = total;
}
void right_atomics(int* y) { launch("right_atomics_kernel", right_atomics_kernel, 1, 64, 0, nullptr, y); }

}  // namespace simt_races
