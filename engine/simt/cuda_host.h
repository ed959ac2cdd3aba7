#pragma once
// Included before a .cu file that g++ compiles: CUDA's words, as ordinary C++. The standard headers come before the macros.
#include "engine/simt/arithmetic.h"
#include "engine/simt/atomics.h"
#include "engine/simt/collectives.h"
#include "engine/simt/runtime.h"
#include "engine/simt/types.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(bytes) alignas(bytes)

#define threadIdx (::engine::simt::current->thread_index)
#define blockIdx (::engine::simt::position.block_index)
#define blockDim (::engine::simt::position.block_size)
#define gridDim (::engine::simt::position.grid_size)

inline constexpr int warpSize = 32;
