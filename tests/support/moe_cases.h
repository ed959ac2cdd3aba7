#pragma once
// Every row of the table that chooses, under every switch that changes a gradient or a choice. N divides by 4, for ranks and shards.
#include "tests/support/moe_layers.h"
#include "tests/support/random.h"

#include <cmath>

namespace tests {

struct MoeCase {
    LayerCase layer;
    bool leaks = false;  // a later row may change an earlier one
};

// Spatial matrices begin near 0, and so do the gradients of what they read.
inline Table spatial(Size experts, Size context) {
    std::vector<double> values = random_values(experts * context * context, 9);
    for (double& value : values) value /= std::sqrt(static_cast<double>(context));
    return {{"spatial.w", values}};
}

inline const std::vector<MoeCase>& moe_cases() {
    static const std::vector<MoeCase> cases = {
        {{"sigma-moe", 12, 5, "n_experts=6 expert_size=1 k=3 glu=true activation=gelu"}},
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
        {{"noisy-topk", 12, 5, "n_experts=4 expert_size=3 k=2 cv_weight=0.3 activation=gelu"}},
        {{"noisy-topk", 12, 5, "n_experts=4 expert_size=3 k=3 cv_weight=0.3 noise=false glu=true"}},
        {{"base", 12, 5, "n_experts=4 expert_size=3 activation=gelu"}, true},
        {{"base", 12, 5, "n_experts=5 expert_size=3 residual_mix=true glu=true"}, true},
        {{"s-base", 12, 5, "n_experts=4 expert_size=3 k=2 activation=gelu"}, true},
        {{"s-base", 12, 5, "n_experts=4 expert_size=3 k=1 sinkhorn=released scope=sequence", 3}, true},
        {{"hash", 12, 5, "n_experts=4 expert_size=3 k=1 vocab=7", 0, {0, 1, 2, 3, 4, 5, 6, 0, 3, 3, 1, 6}}},
        {{"rand-hash", 12, 5, "n_experts=5 expert_size=3 k=3 vocab=7 activation=gelu", 0, {0, 1, 2, 3, 4, 5, 6, 0, 3, 3, 1, 6}}},
        {{"expert-choice", 12, 5, "n_experts=4 expert_size=3 activation=gelu"}, true},
        {{"expert-choice", 12, 5, "n_experts=5 expert_size=3 capacity_factor=0.9 softmax_over=tokens glu=true"}, true},
        {{"deepseek", 12, 5, "n_experts=6 expert_size=3 k=2 n_shared=2 balance_weight=0.3 bias_rate=0.125 glu=true activation=silu", 3}},
        {{"deepseek", 12, 5,
          "n_experts=6 expert_size=2 k=2 score=sigmoid renormalise=true route_scale=2.5 balance_weight=0.3 bias_rate=0.1 "
          "n_groups=3 topk_groups=2 activation=gelu"}},
        {{"deepseek", 12, 5, "n_experts=6 expert_size=2 k=3 renormalise=true balance_weight=0.2 n_groups=2 topk_groups=1", 3}},
        {{"deepseek", 12, 5, "n_experts=6 expert_size=2 k=2 score=sigmoid balance_weight=0.3", 3}},
        {{"avg-k", 12, 5, "n_experts=6 expert_size=3 k=2 activation=gelu"}},
        {{"avg-k", 12, 5, "n_experts=6 expert_size=3 k=2 gate=raw activation=gelu"}},
        {{"avg-k", 12, 5, "n_experts=6 expert_size=3 k=2 gate=sigmoid glu=true"}},
        {{"avg-k", 12, 5, "n_experts=6 expert_size=1 k=2 gate=softmax-chosen activation=gelu"}},
        {{"avg-k", 12, 5, "n_experts=6 expert_size=11 k=2 gate=softmax-all activation=gelu"}},
        {{"vanilla-m", 12, 5, "n_experts=6 expert_size=3 k=2 activation=gelu"}},
        {{"vanilla-m", 12, 5, "n_experts=6 expert_size=3 k=2 reduce=sum on=post glu=true"}},
        {{"vanilla-m", 12, 5, "n_experts=6 expert_size=1 k=2 reduce=mean-abs on=post activation=gelu"}},
        {{"gmlp", 48, 5, "hidden=22 context=13", 12, {}, true, nullptr, spatial(1, 13)}},
        {{"gmlp", 48, 5, "hidden=6 context=12 tanh=true", 12, {}, true, nullptr, spatial(1, 12)}},
        {{"gmlp", 48, 5, "hidden=10 context=12 causal=false", 12, {}, true, nullptr, spatial(1, 12)}, true},
        {{"smlp", 48, 5, "hidden=30 context=17 n_experts=3", 12, {}, true, nullptr, spatial(3, 17)}},
        {{"smlp", 48, 5, "hidden=42 context=13 n_experts=3 routing=partial-prediction partial=0.6", 12, {}, true, nullptr, spatial(3, 13)},
         true},
        {{"smlp",
          48,
          5,
          "hidden=30 context=12 n_experts=3 routing=partial-prediction partial=0.7 tanh=true",
          12,
          {},
          true,
          nullptr,
          spatial(3, 12)},
         true},
    };
    return cases;
}

}  // namespace tests
