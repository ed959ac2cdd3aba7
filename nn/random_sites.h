#pragma once
#include <cstdint>

namespace nn {

// What a random number is for; with the layer it makes a site of engine/base/philox.h.
enum class Purpose : std::uint32_t { block_input, attention_output, feed_forward_output, expert_choice, hidden, router_noise, head_input };

// Sites are below 2²⁴. `layer` −1 stands for what is outside the blocks.
constexpr std::uint32_t random_site(int layer, Purpose purpose) {
    return static_cast<std::uint32_t>(layer + 1) * 16 + static_cast<std::uint32_t>(purpose);
}

}  // namespace nn
