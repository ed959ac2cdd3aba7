#pragma once
#include "apps/comm_constants.h"
#include "engine/comm/communicator.h"

namespace apps {

struct CommTiming {
    std::string collective;
    engine::Size bytes = 0;        // of the whole tensor
    double least = 0, median = 0;  // seconds of a call, on the rank that took longest
    long calls = 0;
    double bus_bytes = 0;  // that leave a rank
};

// Every collective on float32 tensors of 4 bytes, then four times as many, up to `largest`; about `seconds` each. `watch` is told each on
// every rank. Collective.
std::vector<CommTiming> time_collectives(engine::Exec& exec, engine::Size largest, double seconds,
                                         const std::function<void(const CommTiming&)>& watch);

// What the timings say of the links. `local_ranks`: of all ranks, those on this machine.
CommConstants constants_of(const std::vector<CommTiming>& timings, const std::string& device, int ranks, int local_ranks);

}  // namespace apps
