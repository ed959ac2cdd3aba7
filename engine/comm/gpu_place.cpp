#include "engine/comm/gpu_place.h"

#include "engine/comm/nccl_library.h"
#include "engine/comm/transport_gather.h"
#include "engine/cuda/runtime.h"
#include "engine/io/manifest.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

#include <unistd.h>

namespace engine {
namespace {

std::uint64_t host_of_nccl() {
    if (const char* id = std::getenv("NCCL_HOSTID"); id != nullptr) return io::fnv1a(id);
    std::string name(256, '\0'), boot;
    gethostname(name.data(), name.size() - 1);
    std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
    return io::fnv1a(name.c_str() + boot);
}

// NCCL's own switch, since 2.30.3.
bool may_share(int version) {
    const char* allowed = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
    return version >= 23003 && allowed != nullptr && std::string(allowed) == "1";
}

}  // namespace

GpuPlace gpu_place(Device device, int nccl_version) {
    GpuPlace place{.host = host_of_nccl(), .device = device.index, .nccl = nccl_version};
    if (device.kind != DeviceKind::cuda) return place;
    std::string bus = cuda::bus_id(device.index);
    std::copy_n(bus.begin(), std::min(bus.size(), place.gpu.size() - 1), place.gpu.begin());
    return place;
}

void check_gpu_places(const std::vector<GpuPlace>& places, bool may_share) {
    for (std::size_t b = 1; b < places.size(); ++b) {
        if (places[b].nccl != places[0].nccl) {
            throw UnfitRanks(
                fmt::format("[ranks] ranks differ in their NCCL: rank 0 has {}, rank {} has {}; hint: one installation for all",
                            nccl::version_text(places[0].nccl), b, nccl::version_text(places[b].nccl)));
        }
        for (std::size_t a = 0; a < b && !may_share; ++a) {
            bool one = places[a].host == places[b].host && places[a].gpu == places[b].gpu && places[b].gpu[0] != 0;
            if (!one) continue;
            throw UnfitRanks(fmt::format(
                "[ranks] ranks {} and {} share one GPU, {} (cuda:{}), which NCCL refuses; hint: a GPU for every rank of a machine; "
                "to test ranks on one GPU, start each with an NCCL_HOSTID of its own (docs/many_ranks.md)",
                a, b, places[b].gpu.data(), places[b].device));
        }
    }
}

void check_gpu_places(Transport& transport, const GpuPlace& own) {
    check_gpu_places(gathered(transport, "gpus", own), may_share(own.nccl));
}

}  // namespace engine
