#include "apps/step_layout.h"

#include "apps/model_factory.h"
#include "engine/base/error.h"

namespace apps {

using engine::expect;

namespace {

bool is_power_of_two(Size value) { return (value & (value - 1)) == 0; }

}  // namespace

StepLayout step_layout(const Config& config, int rank, int ranks) {
    const Config::Train& train = config.train;
    expect(train.batch.has_value(), "config", "train.batch must be given; hint: pass --set train.batch=…");
    Size batch = *train.batch, passes = train.accumulate;
    expect(batch % passes == 0, "config", "train.batch must be a multiple of train.accumulate: got {} and {}", batch, passes);
    Size pass = batch / passes, micro = train.micro_batch.value_or(pass);
    expect(pass % micro == 0, "config", "a pass must be whole micro-shards: got {} sequences a pass and train.micro_batch = {}", pass,
           micro);
    Size shards = pass / micro;
    expect(ranks == 1 || (shards % ranks == 0 && is_power_of_two(shards / ranks)), "config",
           "micro-shards must be shared equally, each rank a power of two of them: got {} micro-shards and {} ranks; hint: set "
           "train.micro_batch to {}",
           shards, ranks, pass % ranks == 0 ? pass / ranks : 1);
    return {.context = context_of(config),
            .passes = static_cast<int>(passes),
            .pass_sequences = pass,
            .shards = static_cast<int>(shards),
            .rank = rank,
            .ranks = ranks,
            .sequences = pass / ranks};
}

}  // namespace apps
