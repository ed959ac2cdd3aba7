#pragma once
#include "engine/ops/activation.h"
#include "nn/options.h"

namespace moe {

// Options that many methods share (LAYERS.md).
inline engine::ops::Activation read_activation(const nn::OptionTable& options, const char* otherwise = "relu") {
    return engine::ops::parse_activation(options.word("activation", otherwise, {"relu", "gelu", "gelu-tanh", "silu", "identity"}));
}
inline float read_dropout(const nn::OptionTable& options, const char* name) {
    return static_cast<float>(options.number(name, 0.0, 0.0, 0.999));
}
// Seats of an expert as a multiple of its fair share; 0: no limit.
inline double read_capacity(const nn::OptionTable& options, double otherwise) {
    return options.number("capacity_factor", otherwise, 0.0, 1e6);
}
// True for σ-MoE's own initialisation, false for its ablation "standard".
inline bool read_init(const nn::OptionTable& options) { return options.word("init", "paper", {"paper", "standard"}) == "paper"; }

}  // namespace moe
