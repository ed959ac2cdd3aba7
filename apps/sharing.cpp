#include "apps/sharing.h"

#include "apps/model_factory.h"
#include "apps/step_layout.h"
#include "engine/base/error.h"
#include "engine/comm/shares.h"

namespace apps {

using engine::expect;

namespace {

// The largest number of ranks, at most `wanted`, that divides both.
Size nearest(Size wanted, Size ranks, Size experts) {
    while (ranks % wanted != 0 || experts % wanted != 0) --wanted;
    return wanted;
}

}  // namespace

engine::Sharing sharing_of(const Config& config, engine::Communicator* ranks) {
    if (config.parallel.expert == 1 || ranks == nullptr) return {};
    return {.ranks = ranks, .experts = static_cast<int>(config.parallel.expert)};
}

void check_sharing(const Config& config, nn::LanguageModel& model, int ranks) {
    Size sharers = config.parallel.expert;
    if (sharers == 1) return;
    std::vector<nn::Parameter*> parameters;
    std::vector<nn::State*> states;
    model.collect("", parameters, states);
    std::erase_if(parameters, [](const nn::Parameter* p) { return p->split != nn::Split::by_expert; });
    expect(
        !parameters.empty(), "config",
        "parallel.expert divides experts among ranks, and {} has none that can be: got parallel.expert = {}, expected 1; hint: experts of "
        "one cell are rows of a table, and vanilla-m's weights are read by every row",
        method_name(config), sharers);
    for (const nn::Parameter* parameter : parameters) {
        Size experts = parameter->shape[0];
        expect(ranks % sharers == 0 && experts % sharers == 0, "config",
               "ranks must share experts evenly: got parallel.expert = {} for {} ranks and {} experts; hint: set parallel.expert to {}",
               sharers, ranks, experts, nearest(sharers, ranks, experts));
    }
    int total = step_layout(config, 0, ranks).share.total;
    expect(engine::groups_hold_subtrees(ranks, static_cast<int>(sharers), total), "config",
           "each group of {} ranks must hold a whole subtree of the {} micro-shards: {} ranks do not; hint: a power of two of ranks, or "
           "parallel.expert = {}",
           sharers, total, ranks, ranks);
}

}  // namespace apps
