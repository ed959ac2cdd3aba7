#pragma once
#include "engine/base/device.h"
#include "engine/base/error.h"
#include "engine/comm/transport.h"

#include <array>
#include <cstdint>
#include <vector>

namespace engine {

// Where a rank computes, as NCCL tells ranks apart.
struct GpuPlace {
    std::uint64_t host = 0;      // of NCCL_HOSTID, or of the machine's name and boot
    std::array<char, 32> gpu{};  // its place on the bus; empty: none
    std::int32_t device = 0;     // cuda:N
    std::int32_t nccl = 0;       // the version of its NCCL
};

// All ranks found this at once: none waits for another.
class UnfitRanks : public Error {
  public:
    using Error::Error;
};

// This process' on `device`.
GpuPlace gpu_place(Device device, int nccl_version);
// Throws UnfitRanks where two ranks, which it names, have other versions of NCCL or one GPU: NCCL itself would say less, and later.
// `may_share`: NCCL was told to allow it.
void check_gpu_places(const std::vector<GpuPlace>& places, bool may_share);
// Collective: of all ranks.
void check_gpu_places(Transport& transport, const GpuPlace& own);

}  // namespace engine
