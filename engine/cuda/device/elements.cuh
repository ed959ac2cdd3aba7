#pragma once
// One thread an element: the grid for that many, and which element this thread has. Reached through engine/cuda/launch.h.
#include "engine/base/dtype.h"

namespace engine::inline ENGINE_DEVICE {

constexpr unsigned kElementThreads = 256;

inline dim3 element_grid(Size elements) { return dim3(static_cast<unsigned>((elements + kElementThreads - 1) / kElementThreads)); }
// May lie beyond the last element.
__device__ inline Size element_index() { return static_cast<Size>(blockIdx.x) * kElementThreads + threadIdx.x; }

}  // namespace engine::inline ENGINE_DEVICE
