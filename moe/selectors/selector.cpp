#include "moe/selectors/selector.h"

#include "engine/base/error.h"

namespace moe {

using namespace engine;

Size read_k(const nn::OptionTable& options, Size experts, std::optional<Size> otherwise, std::optional<Size> only) {
    Size k = options.size("k", only ? only : otherwise);
    expect(!only || k == *only, options.where(), "k is fixed for this method: got k = {}, expected {}; hint: leave {}.k out", k,
           only.value_or(0), options.where());
    expect(k <= experts, options.where(), "k must be between 1 and n_experts: got k = {}, n_experts = {}; hint: set {}.k", k, experts,
           options.where());
    return k;
}

}  // namespace moe
