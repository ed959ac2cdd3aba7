#pragma once
#include "engine/comm/nccl_library.h"
#include "engine/comm/transport.h"

namespace engine {

// The transport's ranks as ranks of training on GPUs: tensors of `device` travel by NCCL, in exec.stream and without waiting; tensors of
// the host, and what ranks agree on, by the transport. Sums of the aligned tree are exchanges and our own additions, in the bits of every
// other kind of rank; plain_sum is NCCL's. Collective, once this process has set its device. `patience` as the transport's: a rank that
// hangs is found after it, and named after as long again. Throws UnfitRanks (gpu_place.h) before NCCL is called, RankLost, or Error where
// NCCL fails.
std::unique_ptr<Communicator> nccl_ranks(Transport& transport, Device device, double patience, const nccl::Library& nccl = nccl::library());

}  // namespace engine
