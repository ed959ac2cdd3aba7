#pragma once
// Which device this compilation of a kernel file is for. `Here` is its tag; ENGINE_DEVICE names the inline namespace in which kernels
// and their helpers stand, so that the same name compiled for two devices gives two symbols.
#include "engine/base/device_tags.h"

#if defined(ENGINE_HERE_base)
#define ENGINE_DEVICE on_cpu_base
namespace engine {
using Here = CpuBase;
}
#elif defined(ENGINE_HERE_avx2)
#define ENGINE_DEVICE on_cpu_avx2
namespace engine {
using Here = CpuAvx2;
}
#elif defined(ENGINE_HERE_avx512)
#define ENGINE_DEVICE on_cpu_avx512
namespace engine {
using Here = CpuAvx512;
}
#elif defined(__CUDACC__)
#define ENGINE_DEVICE on_cuda
namespace engine {
using Here = Cuda;
}
#elif defined(ENGINE_HERE_simt)
#define ENGINE_DEVICE on_simt
namespace engine {
using Here = Simt;
}
#else
#error "a kernel file is compiled through cmake/devices.cmake, once per device"
#endif
