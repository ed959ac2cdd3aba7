#include "moe/initial_values.h"

#include <cmath>

namespace moe {

using namespace nn;

ExpertInitials expert_initials(Start start, bool paper, const LayerPlace& place, Size experts, Size cells) {
    auto root = [](double over, Size fan_in) { return std::sqrt(over / static_cast<double>(fan_in)); };
    double depth = 2.0 / place.depth;
    ExpertInitials result{equal_norm_columns(root(depth, place.channels)), normal(root(depth, place.channels)),
                          normal(root(depth, paper ? cells * experts : cells))};
    switch (start) {
        case Start::sigma_moe:
            break;
        case Start::fedus:
            result = {truncated_normal(root(0.1, place.channels)), truncated_normal(root(0.1, place.channels)),
                      truncated_normal(root(0.1, cells))};
            break;
        case Start::shazeer:
            result.router = constant(0);
            break;
        case Start::lewis:
            result.router = orthogonal_columns(0.1);
            result.w2 = constant(0);
            break;
        case Start::deepseek:
            result = {normal(0.006), normal(0.006), normal(0.006)};
            break;
    }
    return result;
}

}  // namespace moe
