#pragma once
#include <string>

namespace engine {

// The instruction sets that kernels are compiled for, lowest first.
enum class CpuLevel { base, avx2, avx512 };

// The best compiled level that this processor has; MOEGRAD_CPU_LEVEL=base|avx2|avx512 lowers it.
CpuLevel cpu_level();
// The processor has AMX with bf16 products, the kernel lets us use it, and MOEGRAD_CPU_LEVEL does not forbid it.
bool cpu_has_amx_bf16();
// Like "avx512+amx_bf16".
std::string cpu_isa();

}  // namespace engine
