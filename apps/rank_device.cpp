#include "apps/rank_device.h"

#include "engine/base/error.h"

namespace apps {

std::string device_of_rank(const std::string& device, const LocalRanks& local) {
    if (device != "cuda" || local.gpus == 0) return device;
    if (local.gpus == 1 && local.gpus_are_named) return "cuda:0";
    engine::expect(
        local.count <= local.gpus && local.rank < local.gpus, "ranks",
        "{} ranks on this machine, which has {} GPUs; hint: as many ranks as GPUs; to test ranks on one GPU, device cuda:0 and an "
        "NCCL_HOSTID of its own for each (docs/many_ranks.md)",
        local.count, local.gpus);
    return "cuda:" + std::to_string(local.rank);
}

}  // namespace apps
