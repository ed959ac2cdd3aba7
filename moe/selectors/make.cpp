#include "moe/selectors/make.h"

#include "engine/base/error.h"
#include "moe/selectors/router.h"

namespace moe {

std::unique_ptr<ExpertSelector> make_selector(const Method& method, const nn::OptionTable& options, const ExpertsPlace& at) {
    switch (method.selector) {
        case Selector::top_experts: {
            const Extras& extras = method.extras;
            std::optional<nn::Size> k = extras.default_k > 0 ? std::optional(extras.default_k) : std::nullopt;
            return std::make_unique<TopExperts>(at, options, TopExperts::Has{extras.expert_dropout, extras.capacity, k});
        }
        case Selector::first_and_second:
            return std::make_unique<FirstAndSecond>(at, options);
        case Selector::all:
        case Selector::top_cells:
        case Selector::product_keys:
        case Selector::shared_product_keys:
        case Selector::product_keys_of_input:
        case Selector::low_rank_keys:
            break;
    }
    engine::fail("ffn", "the selector does not pick experts: got {}", part_name(method.selector));
}

}  // namespace moe
