#pragma once
// Every row of the table with experts, under every switch that changes a gradient or a choice. N divides by 4, for ranks and shards.
#include "tests/support/moe_layers.h"

namespace tests {

struct MoeCase {
    LayerCase layer;
    bool leaks = false;  // a later row may change an earlier one
};

inline const std::vector<MoeCase>& moe_cases() {
    static const std::vector<MoeCase> cases = {
        {{"sigma-moe", 12, 5, "n_experts=4 expert_size=3 k=2 entropy_weight=0.3"}},
        {{"sigma-moe", 12, 5, "n_experts=4 expert_size=3 k=2 entropy_weight=0.3 expert_dropout=0.4 glu=true activation=silu"}},
        {{"softmax-before", 12, 5, "n_experts=4 expert_size=3 k=2 entropy_weight=0.3 activation=gelu"}},
        {{"softmax-after", 12, 5, "n_experts=4 expert_size=3 k=3 entropy_weight=0.3 activation=gelu"}},
        {{"switch", 12, 5, "n_experts=4 expert_size=3 balance_weight=0.3 z_weight=0.2 activation=gelu"}},
        {{"switch", 12, 5, "n_experts=4 expert_size=3 balance_weight=0.3 balance_scale=released capacity_factor=0.5 glu=true"}},
        {{"switch", 12, 5, "n_experts=4 expert_size=3 k=2 balance_weight=0.3 capacity_factor=0.6"}, true},
        {{"gshard", 12, 5, "n_experts=4 expert_size=3 balance_weight=0.3 z_weight=0.2 activation=gelu"}},
        {{"gshard", 12, 5, "n_experts=4 expert_size=3 balance_weight=0.3 second=sampling renormalise=before"}},
        {{"gshard", 12, 5, "n_experts=4 expert_size=3 balance_weight=0.3 second=random renormalise=before"}},
        {{"gshard", 12, 5, "n_experts=4 expert_size=3 balance_weight=0.3 second=random renormalise=after"}},
        {{"gshard", 12, 5, "n_experts=4 expert_size=3 capacity_factor=0.6 renormalise=after activation=silu"}, true},
        {{"gshard", 12, 5, "n_experts=4 expert_size=3 capacity_factor=0.6 renormalise=before glu=true"}, true},
    };
    return cases;
}

}  // namespace tests
