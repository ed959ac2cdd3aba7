#pragma once
#include "apps/config.h"
#include "engine/base/exec.h"

namespace apps {

// How a step's sequences are cut (PROGRAMS, "A step"): into passes, a pass into micro-shards, and these over the ranks,
// a whole subtree each (engine/comm/shares.h). Without train.micro_batch a pass is one; with reduction = fast, one a rank.
struct StepLayout {
    Size context = 0;         // T
    int passes = 1;           // train.accumulate
    Size pass_sequences = 0;  // of one pass, over all ranks
    engine::Shards share;     // of a pass's micro-shards, this rank's
    Size micro_batch = 1;     // sequences of a micro-shard
    int rank = 0, ranks = 1;
    Size sequences = 0;  // of one pass, this rank's

    Size step_tokens() const { return pass_sequences * passes * context; }
    // This rank's first sequence of a pass, counted over the whole step.
    Size first_sequence(int pass) const { return pass * pass_sequences + share.first * micro_batch; }
    // Counted over the whole step, so that random numbers differ from pass to pass.
    engine::Shards shards_of_pass(int pass) const {
        return {.first = pass * share.total + share.first, .count = share.count, .total = share.total};
    }
};

// Throws where batch, accumulate and micro_batch do not divide, or the ranks are more than the micro-shards.
StepLayout step_layout(const Config& config, int rank, int ranks);

}  // namespace apps
