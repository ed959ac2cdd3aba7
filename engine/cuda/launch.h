#pragma once
// launch(name, kernel, grid, block, shared_bytes, stream, args…): the one way to start a kernel. nvcc launches it; g++ runs it on simt.
// `name` is the kernel's name without template arguments; `shared_bytes` is for dynamic_shared(). A grid of no blocks runs nothing.
#include "engine/base/here.h"

#ifdef __CUDACC__
#include "engine/cuda/check.h"

#include <cuda_runtime.h>

namespace engine::inline on_cuda {

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, void* stream, A&&... args) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    constexpr std::size_t kWithoutAsking = 48 << 10;
    if (shared_bytes > kWithoutAsking) {
        cuda::check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)), name);
    }
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = static_cast<cudaStream_t>(stream);
    cuda::check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...), name);
}

// The block's static shared memory of type T; two uses of one T in a kernel are the same memory.
template <class T>
__device__ T& shared_memory() {
    __shared__ T memory;
    return memory;
}
// The first T of the block's dynamic shared memory.
template <class T>
__device__ T& dynamic_shared() {
    extern __shared__ __align__(128) unsigned char raw[];
    return reinterpret_cast<T&>(raw);
}

}  // namespace engine::inline on_cuda
#else
#include "engine/simt/launch.h"
#endif

#include "engine/cuda/device/elements.cuh"
#include "engine/cuda/device/reduce.cuh"
#include "engine/cuda/device/tensor_core.cuh"
