#include "engine/base/cpu_level.h"

#include "engine/base/error.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace engine {
namespace {

CpuLevel compiled_level() {
#if defined(MOEGRAD_LEVEL_avx512)
    return CpuLevel::avx512;
#elif defined(MOEGRAD_LEVEL_avx2)
    return CpuLevel::avx2;
#else
    return CpuLevel::base;
#endif
}

CpuLevel processor_level() {
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return avx512 ? CpuLevel::avx512 : avx2 ? CpuLevel::avx2 : CpuLevel::base;
}

CpuLevel choose_level() {
    CpuLevel level = std::min(compiled_level(), processor_level());
    const char* wanted = std::getenv("MOEGRAD_CPU_LEVEL");
    if (wanted == nullptr || *wanted == '\0') return level;
    std::string_view name = wanted;
    expect(name == "base" || name == "avx2" || name == "avx512", "cpu_level",
           "MOEGRAD_CPU_LEVEL is not an instruction set: got {}, expected base, avx2 or avx512", name);
    CpuLevel limit = name == "base" ? CpuLevel::base : name == "avx2" ? CpuLevel::avx2 : CpuLevel::avx512;
    return std::min(level, limit);
}

// Linux hands out the AMX tile registers on request only.
bool request_amx() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & (1u << 22)) || !(d & (1u << 24))) return false;
    constexpr long kArchRequestXcompPerm = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kArchRequestXcompPerm, kTileData) == 0;
}

}  // namespace

CpuLevel cpu_level() {
    static const CpuLevel level = choose_level();
    return level;
}

bool cpu_has_amx_bf16() {
    static const bool amx = cpu_level() == CpuLevel::avx512 && request_amx();
    return amx;
}

std::string cpu_isa() {
    const char* names[] = {"base", "avx2", "avx512"};
    return std::string(names[static_cast<int>(cpu_level())]) + (cpu_has_amx_bf16() ? "+amx_bf16" : "");
}

}  // namespace engine
