#include "moe/selectors/make.h"

#include "engine/base/error.h"
#include "moe/selectors/balanced.h"
#include "moe/selectors/biased.h"
#include "moe/selectors/expert_choice.h"
#include "moe/selectors/keys.h"
#include "moe/selectors/noisy.h"
#include "moe/selectors/router.h"
#include "moe/selectors/sinkhorn.h"
#include "moe/selectors/token_table.h"

namespace moe {

std::unique_ptr<ExpertSelector> make_selector(const Method& method, const nn::OptionTable& options, const ExpertsPlace& at, bool scored) {
    switch (method.selector) {
        case Selector::top_experts: {
            const Extras& extras = method.extras;
            std::optional<nn::Size> k = extras.default_k > 0 ? std::optional(extras.default_k) : std::nullopt;
            return std::make_unique<TopExperts>(at, options, TopExperts::Has{extras.expert_dropout, extras.capacity, k});
        }
        case Selector::first_and_second:
            return std::make_unique<FirstAndSecond>(at, options);
        case Selector::noisy_top_experts:
            return std::make_unique<NoisyTopExperts>(at, options);
        case Selector::balanced_assignment:
            return std::make_unique<BalancedExperts>(at, options);
        case Selector::sinkhorn_plan:
            return std::make_unique<SinkhornExperts>(at, options);
        case Selector::balanced_table:
            return std::make_unique<TokenTable>(at, options, true);
        case Selector::random_table:
            return std::make_unique<TokenTable>(at, options, false);
        case Selector::experts_choose:
            return std::make_unique<ExpertsChoose>(at, options);
        case Selector::biased_groups:
            return std::make_unique<BiasedGroups>(at, options);
        case Selector::mean_keys:
            return std::make_unique<MeanKeys>(at, options, scored);
        case Selector::cell_keys:
            return std::make_unique<CellKeys>(at, options);
        case Selector::all:
        case Selector::top_cells:
        case Selector::product_keys:
        case Selector::shared_product_keys:
        case Selector::product_keys_of_input:
        case Selector::low_rank_keys:
        case Selector::feature_chunks:
            break;
    }
    engine::fail("ffn", "the selector does not pick experts: got {}", part_name(method.selector));
}

}  // namespace moe
