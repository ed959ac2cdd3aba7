#pragma once
#include "engine/base/here.h"
#include "engine/base/philox.h"

namespace engine::kernels::inline ENGINE_DEVICE {

// bits[i] = random_bits(seed, step, site, first + i) for i < count. Sixteen Philox counters at a time, as vectors.
// `bits` has room for count + 72 words; the numbers begin at the returned pointer.
inline const std::uint32_t* random_row(std::uint32_t* bits, std::uint64_t seed, std::uint64_t step, std::uint32_t site, std::uint64_t first,
                                       Size count) {
    constexpr int kLanes = 16;
    std::uint64_t group = first / 4, groups = (first % 4 + static_cast<std::uint64_t>(count) + 3) / 4;
    std::uint64_t high = (step << 24) + site;
    for (std::uint64_t g = 0; g < groups; g += kLanes) {
        std::uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
        for (int l = 0; l < kLanes; ++l) {
            std::uint64_t counter = group + g + static_cast<std::uint64_t>(l);
            c0[l] = static_cast<std::uint32_t>(counter);
            c1[l] = static_cast<std::uint32_t>(counter >> 32);
            c2[l] = static_cast<std::uint32_t>(high);
            c3[l] = static_cast<std::uint32_t>(high >> 32);
        }
        std::uint32_t k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
        for (int round = 0; round < 10; ++round) {
            for (int l = 0; l < kLanes; ++l) {
                std::uint64_t p0 = static_cast<std::uint64_t>(0xD2511F53u) * c0[l], p1 = static_cast<std::uint64_t>(0xCD9E8D57u) * c2[l];
                c0[l] = static_cast<std::uint32_t>(p1 >> 32) ^ c1[l] ^ k0;
                c2[l] = static_cast<std::uint32_t>(p0 >> 32) ^ c3[l] ^ k1;
                c1[l] = static_cast<std::uint32_t>(p1);
                c3[l] = static_cast<std::uint32_t>(p0);
            }
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        for (int l = 0; l < kLanes; ++l) {
            bits[(g + l) * 4] = c0[l];
            bits[(g + l) * 4 + 1] = c1[l];
            bits[(g + l) * 4 + 2] = c2[l];
            bits[(g + l) * 4 + 3] = c3[l];
        }
    }
    return bits + first % 4;
}

}  // namespace engine::kernels::inline ENGINE_DEVICE
