#include "apps/step_layout.h"

#include "apps/model_factory.h"
#include "engine/base/error.h"
#include "engine/comm/shares.h"

namespace apps {

using engine::expect;

namespace {

// The largest that cuts the pass into at least `ranks` micro-shards.
Size largest_micro_batch(Size pass, Size ranks) {
    Size micro = pass / ranks;
    while (pass % micro != 0) --micro;
    return micro;
}

}  // namespace

StepLayout step_layout(const Config& config, int rank, int ranks) {
    const Config::Train& train = config.train;
    expect(train.batch.has_value(), "config", "train.batch must be given; hint: pass --set train.batch=…");
    Size batch = *train.batch, passes = train.accumulate;
    expect(batch % passes == 0, "config", "train.batch must be a multiple of train.accumulate: got {} and {}", batch, passes);
    bool exact = config.parallel.reduction == "exact";
    Size pass = batch / passes, whole = exact || pass % ranks != 0 ? pass : pass / ranks, micro = train.micro_batch.value_or(whole);
    expect(pass % micro == 0, "config", "a pass must be whole micro-shards: got {} sequences a pass and train.micro_batch = {}", pass,
           micro);
    Size shards = pass / micro;
    expect(ranks <= shards, "config", "there must be a micro-shard for each rank: got {} micro-shards and {} ranks; hint: {}", shards,
           ranks,
           ranks <= pass ? fmt::format("set train.micro_batch to {}", largest_micro_batch(pass, ranks))
                         : fmt::format("a pass of {} sequences takes at most as many ranks", pass));
    engine::Shards share = engine::share_of(rank, ranks, static_cast<int>(shards));
    return {.context = context_of(config),
            .passes = static_cast<int>(passes),
            .pass_sequences = pass,
            .share = share,
            .micro_batch = micro,
            .rank = rank,
            .ranks = ranks,
            .sequences = share.count * micro};
}

}  // namespace apps
