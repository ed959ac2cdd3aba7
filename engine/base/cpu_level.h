#pragma once
#include <string>

namespace engine {

// The instruction sets that kernels are compiled for, lowest first.
enum class CpuLevel { base, avx2, avx512 };

// The best compiled level that this processor has; MOEGRAD_CPU_LEVEL=base|avx2|avx512|avx512_bf16 lowers it.
CpuLevel cpu_level();
// At level avx512: the processor multiplies pairs of bf16 (vdpbf16ps), and MOEGRAD_CPU_LEVEL=avx512 does not forbid it.
bool cpu_has_bf16_pairs();
// Like "avx512_bf16".
std::string cpu_isa();

}  // namespace engine
