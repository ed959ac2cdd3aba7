#pragma once
#include <stdexcept>
#include <string>

#include <cuda_runtime.h>

namespace engine::cuda {

// Throws what the CUDA runtime says of a failed call.
inline void check(cudaError_t status, const char* call) {
    if (status != cudaSuccess) {
        throw std::runtime_error(std::string("[cuda] ") + call + " failed: " + cudaGetErrorName(status) + ": " +
                                 cudaGetErrorString(status));
    }
}

}  // namespace engine::cuda
