#pragma once
// Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011). The same numbers on every device, thread and rank.
#include "engine/base/exec.h"

namespace engine {

struct Random4 {
    std::uint32_t value[4];
};

ENGINE_BOTH inline Random4 philox(std::uint64_t key, std::uint64_t counter_low, std::uint64_t counter_high) {
    std::uint32_t c0 = static_cast<std::uint32_t>(counter_low), c1 = static_cast<std::uint32_t>(counter_low >> 32);
    std::uint32_t c2 = static_cast<std::uint32_t>(counter_high), c3 = static_cast<std::uint32_t>(counter_high >> 32);
    std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
        std::uint64_t p0 = static_cast<std::uint64_t>(0xD2511F53u) * c0;
        std::uint64_t p1 = static_cast<std::uint64_t>(0xCD9E8D57u) * c2;
        std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
        std::uint32_t n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
        c1 = static_cast<std::uint32_t>(p1);
        c3 = static_cast<std::uint32_t>(p0);
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// Where a random number is used: the site names the module and its purpose, the element its place in the whole batch (never the rank's).
// key = seed, counter = (element / 4, step · 2²⁴ + site); element picks one of the four words.
ENGINE_BOTH inline Random4 random_bits4(std::uint64_t seed, std::uint64_t step, std::uint32_t site, std::uint64_t quarter) {
    return philox(seed, quarter, (step << 24) + site);
}
ENGINE_BOTH inline std::uint32_t random_bits(std::uint64_t seed, std::uint64_t step, std::uint32_t site, std::uint64_t element) {
    return random_bits4(seed, step, site, element / 4).value[element % 4];
}

// Uniform in [0, 1), 24 bits.
ENGINE_BOTH inline float to_uniform(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

// The element is dropped with probability `rate`: bits < rate · 2³².
ENGINE_BOTH inline std::uint32_t drop_threshold(float rate) { return static_cast<std::uint32_t>(static_cast<double>(rate) * 4294967296.0); }

}  // namespace engine
