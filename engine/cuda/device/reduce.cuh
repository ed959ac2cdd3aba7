#pragma once
// Sums and maxima over a warp or a block, over a fixed tree: the same bits on every device and in every order of threads.
// Reached through engine/cuda/launch.h. All threads of the warp or block call, in blocks of one dimension and of a multiple of 32 threads;
// all get the result.

namespace engine::inline ENGINE_DEVICE {

constexpr unsigned kFullWarp = 0xffffffffu;

struct AddValues {
    template <class T>
    __device__ T operator()(T a, T b) const {
        return a + b;
    }
};
struct LargerValue {
    template <class T>
    __device__ T operator()(T a, T b) const {
        return a > b ? a : b;
    }
};

// A butterfly: combine(a, b) must equal combine(b, a).
template <class T, class Combine>
__device__ T warp_reduce(T value, Combine combine) {
    for (int bits = 16; bits > 0; bits /= 2) value = combine(value, __shfl_xor_sync(kFullWarp, value, bits));
    return value;
}

template <class T>
struct WarpResults {
    T value[32];
};

// Every warp combines the warps' results, so that one barrier hands the result to all; the last one frees the memory for the next call.
template <class T, class Combine>
__device__ T block_reduce(T value, T neutral, Combine combine) {
    auto& results = shared_memory<WarpResults<T>>();
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    value = warp_reduce(value, combine);
    if (warps == 1) return value;
    if (lane == 0) results.value[warp] = value;
    __syncthreads();
    value = warp_reduce(lane < warps ? results.value[lane] : neutral, combine);
    __syncthreads();
    return value;
}

template <class T>
__device__ T warp_sum(T value) {
    return warp_reduce(value, AddValues{});
}
template <class T>
__device__ T warp_max(T value) {
    return warp_reduce(value, LargerValue{});
}
template <class T>
__device__ T block_sum(T value) {
    return block_reduce(value, T(0), AddValues{});
}
// Of one warp: the sum of the values of this lane and those before it.
template <class T>
__device__ T warp_sum_up_to_lane(T value) {
    for (unsigned step = 1; step < 32; step *= 2) {
        T other = __shfl_up_sync(kFullWarp, value, step);
        if (threadIdx.x % 32 >= step) value += other;
    }
    return value;
}
// `lowest` is what the maximum of nothing would be, −infinity for floats.
template <class T>
__device__ T block_max(T value, T lowest) {
    return block_reduce(value, lowest, LargerValue{});
}

}  // namespace engine::inline ENGINE_DEVICE
