#include "apps/sharing.h"

#include "apps/model_factory.h"
#include "apps/step_layout.h"
#include "engine/base/error.h"
#include "engine/comm/shares.h"
#include "engine/kernels/strips.h"

namespace apps {

using engine::expect;

namespace {

using Parameters = std::vector<nn::Parameter*>;

// Of the model, of those that ranks may divide so.
Parameters parameters_of(nn::LanguageModel& model, nn::Split split) {
    Parameters parameters;
    std::vector<nn::State*> states;
    model.collect("", parameters, states);
    std::erase_if(parameters, [&](const nn::Parameter* p) { return p->split != split; });
    return parameters;
}

void check_groups(const Config& config, const char* key, Size sharers, int ranks) {
    int total = step_layout(config, 0, ranks).share.total;
    expect(engine::groups_hold_subtrees(ranks, static_cast<int>(sharers), total), "config",
           "each group of {} ranks must hold a whole subtree of the {} micro-shards: {} ranks do not; hint: a power of two of ranks, or "
           "parallel.{} = {}",
           sharers, total, ranks, key, ranks);
}

// The largest number of ranks, at most `wanted`, that divides both.
Size nearest(Size wanted, Size ranks, Size parts) {
    while (ranks % wanted != 0 || parts % wanted != 0) --wanted;
    return wanted;
}

void check_experts(const Config& config, nn::LanguageModel& model, int ranks) {
    Size sharers = config.parallel.expert;
    if (sharers == 1) return;
    Parameters parameters = parameters_of(model, nn::Split::by_expert);
    expect(
        !parameters.empty(), "config",
        "parallel.expert divides experts among ranks, and {} has none that can be: got parallel.expert = {}, expected 1; hint: experts of "
        "one cell are rows of a table",
        method_name(config), sharers);
    for (const nn::Parameter* parameter : parameters) {
        Size experts = parameter->shape[0];
        expect(ranks % sharers == 0 && experts % sharers == 0, "config",
               "ranks must share experts evenly: got parallel.expert = {} for {} ranks and {} experts; hint: set parallel.expert to {}",
               sharers, ranks, experts, nearest(sharers, ranks, experts));
    }
    check_groups(config, "expert", sharers, ranks);
}

void check_tables(const Config& config, nn::LanguageModel& model, int ranks) {
    Size sharers = config.parallel.table_shards;
    if (sharers == 1) return;
    expect(sharers == 2 || sharers == 4 || sharers == 8, "config",
           "parallel.table_shards is no number of parts: got {}, expected 1, 2, 4 or 8", sharers);
    Parameters parameters = parameters_of(model, nn::Split::by_column);
    expect(!parameters.empty(), "config",
           "parallel.table_shards divides the columns of tables that product keys choose from, and {} has none: got "
           "parallel.table_shards = {}, expected 1; hint: leave it out",
           method_name(config), sharers);
    expect(ranks % sharers == 0, "config",
           "parallel.table_shards must divide the ranks: got {} for {} ranks; hint: set parallel.table_shards to {}", sharers, ranks,
           nearest(sharers, ranks, engine::kernels::kStrips));
    for (const nn::Parameter* parameter : parameters) nn::check_columns(*parameter, static_cast<int>(sharers));
    check_groups(config, "table_shards", sharers, ranks);
}

}  // namespace

engine::Sharing sharing_of(const Config& config, engine::Communicator* ranks) {
    const Config::Parallel& parallel = config.parallel;
    if ((parallel.expert == 1 && parallel.table_shards == 1) || ranks == nullptr) return {};
    return {.ranks = ranks, .experts = static_cast<int>(parallel.expert), .tables = static_cast<int>(parallel.table_shards)};
}

void check_sharing(const Config& config, nn::LanguageModel& model, int ranks) {
    check_experts(config, model, ranks);
    check_tables(config, model, ranks);
}

}  // namespace apps
