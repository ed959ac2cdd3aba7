#pragma once
#include "apps/config.h"
#include "engine/base/exec.h"

namespace apps {

// How a step's sequences are cut (PROGRAMS, "A step"): into passes, a pass into micro-shards, and these over the ranks.
struct StepLayout {
    Size context = 0;         // T
    int passes = 1;           // train.accumulate
    Size pass_sequences = 0;  // of one pass, over all ranks
    int shards = 1;           // micro-shards of a pass, M
    int rank = 0, ranks = 1;
    Size sequences = 0;  // of one pass, this rank's

    Size step_tokens() const { return pass_sequences * passes * context; }
    // This rank's first sequence of a pass, counted over the whole step.
    Size first_sequence(int pass) const { return pass * pass_sequences + rank * sequences; }
    // Counted over the whole step, so that random numbers differ from pass to pass.
    engine::Shards shards_of_pass(int pass) const {
        int own = shards / ranks;
        return {.first = pass * shards + rank * own, .count = own, .total = shards};
    }
};

// Throws where batch, accumulate, micro_batch and ranks do not divide.
StepLayout step_layout(const Config& config, int rank, int ranks);

}  // namespace apps
