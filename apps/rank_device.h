#pragma once
#include <string>

namespace apps {

// A rank's machine, as the rank sees it.
struct LocalRanks {
    int rank = 0, count = 1;      // among those of the machine
    int gpus = 0;                 // that this process may use
    bool gpus_are_named = false;  // by CUDA_VISIBLE_DEVICES
};

// The device of a rank: for "cuda" the GPU of its local rank, or the only one that its launcher lets it see; every other device is taken at
// its word. Throws where there are more ranks than GPUs.
std::string device_of_rank(const std::string& device, const LocalRanks& local);

}  // namespace apps
