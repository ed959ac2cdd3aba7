#pragma once
// Every row of the table that chooses, under every switch that changes a gradient or a choice. N divides by 4, for ranks and shards.
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
        {{"lorkm", 12, 5, "cells=17 rank=3 k=4"}},
        {{"lorkm", 12, 5, "cells=9 rank=2 k=9 activation=gelu"}},
        {{"pkm", 12, 5, "sub_keys=4 heads=2 k=3 query_size=6"}},
        {{"pkm", 12, 5, "sub_keys=5 heads=3 k=4 query_size=2 query_norm=batch softmax_scope=all"}, true},
        {{"pkm", 12, 5, "sub_keys=3 heads=2 k=5 query_size=4 query_norm=layer gate=sigmoid hidden_dropout=0.3"}},
        {{"pkm", 12, 5, "sub_keys=4 heads=1 k=2 query_size=4 gate=relu"}},
        {{"pkm-relu", 12, 6, "sub_keys=4 heads=3 k=3"}},
        {{"pkm-relu", 12, 6, "sub_keys=3 heads=2 released=true"}},
        {{"pkm-ffn", 12, 5, "sub_keys=4 heads=2 k=3 query_size=6 activation=gelu"}},
        {{"pkm-ffn", 12, 5, "sub_keys=4 heads=2 k=3 query_size=6 multiply_gate=false"}},
        {{"peer", 12, 5, "sub_keys=4 heads=3 k=3 query_size=4 query_norm=batch"}, true},
        {{"peer", 12, 5, "sub_keys=3 heads=2 k=4 query_size=6 share_subkeys=false glu=true activation=silu"}},
        {{"memory-plus", 12, 5, "sub_keys=4 heads=2 k=3 query_size=6 query_norm=layer"}},
    };
    return cases;
}

}  // namespace tests
