#pragma once
#include "engine/base/device.h"
#include "engine/base/dtype.h"

#include <cstdint>

namespace engine {

class Pool;
class Communicator;
class PairCapacities;

// Values that change from step to step. They stand in device memory, so that a captured step need not be captured again.
struct StepScalars {
    std::uint64_t seed = 0;
    std::uint64_t step = 0;
    float learning_rate = 0;
    float clip_factor = 1;
    float bias_correction1 = 1;  // 1 − β₁^(t+1)
    float bias_correction2 = 1;  // 1 − β₂^(t+1)
};

// The micro-shards that this rank runs as one batch: shards [first, first + count) of `total` (PROGRAMS, "A step").
struct Shards {
    int first = 0;
    int count = 1;
    int total = 1;
};

// Ranks that share parameters, in groups of neighbours: experts are divided among `experts` ranks, a table's columns among `tables`.
struct Sharing {
    Communicator* ranks = nullptr;  // all ranks; null where nothing is shared
    int experts = 1;
    int tables = 1;
    PairCapacities* capacities = nullptr;  // of exchanges whose counts the host does not read; null: it reads them
};

// The one context of every kernel.
struct Exec {
    Device device;
    void* stream = nullptr;                // cudaStream_t on cuda
    Pool* pool = nullptr;                  // where results and scratch come from
    const StepScalars* scalars = nullptr;  // in device memory
    Communicator* communicator = nullptr;  // the ranks that share a pass's micro-shards
    Shards shards;
    Sharing sharing;
};

}  // namespace engine
