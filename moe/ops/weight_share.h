#pragma once
#include "engine/tensor/tensor.h"

#include <functional>

namespace moe::ops {

// A share of a weight's gradient, kept by the operation that made it for another that uses the same weight. The last one adds both in every
// micro-shard: two sums of their own would be added in another order on another number of ranks.
struct WeightShare {
    // run(out, add, shard): writes or adds the share of one micro-shard of this rank. Empty: none came.
    std::function<void(const engine::Tensor& out, bool add, engine::Size shard)> run;
};

}  // namespace moe::ops
