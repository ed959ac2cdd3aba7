#include "engine/base/cpu_level.h"

#include "engine/base/error.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

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
    expect(name == "base" || name == "avx2" || name == "avx512" || name == "avx512_bf16", "cpu_level",
           "MOEGRAD_CPU_LEVEL is not an instruction set: got {}, expected base, avx2, avx512 or avx512_bf16", name);
    CpuLevel limit = name == "base" ? CpuLevel::base : name == "avx2" ? CpuLevel::avx2 : CpuLevel::avx512;
    return std::min(level, limit);
}

bool choose_pairs() {
    const char* wanted = std::getenv("MOEGRAD_CPU_LEVEL");
    return cpu_level() == CpuLevel::avx512 && __builtin_cpu_supports("avx512bf16") &&
           (wanted == nullptr || std::string_view(wanted) != "avx512");
}

}  // namespace

CpuLevel cpu_level() {
    static const CpuLevel level = choose_level();
    return level;
}

bool cpu_has_bf16_pairs() {
    static const bool pairs = choose_pairs();
    return pairs;
}

std::string cpu_isa() {
    const char* names[] = {"base", "avx2", "avx512"};
    return std::string(names[static_cast<int>(cpu_level())]) + (cpu_has_bf16_pairs() ? "_bf16" : "");
}

}  // namespace engine
