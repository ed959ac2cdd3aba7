#pragma once
// A device is a type: every kernel's host function takes it as its first template parameter, so that all twins share one name in one
// binary (docs/adr/0002). A CPU instruction set is a device of its own.
namespace engine {

struct CpuBase {};
struct CpuAvx2 {};
struct CpuAvx512 {};
struct Simt {};
struct Cuda {};

#ifdef MOEGRAD_CUDA
inline constexpr bool kCudaBuilt = true;
#else
inline constexpr bool kCudaBuilt = false;
#endif

}  // namespace engine
