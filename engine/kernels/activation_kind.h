#pragma once
#include <cstdint>

namespace engine::kernels {

enum class Activation : std::uint8_t { relu, gelu, gelu_tanh, silu, identity };

}  // namespace engine::kernels
