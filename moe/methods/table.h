#pragma once
#include "moe/kernels/choose.h"
#include "nn/feed_forward.h"
#include "nn/options.h"

#include <memory>
#include <string_view>
#include <vector>

namespace moe {

// The four parts of a method:  y = Σ_{i∈S(x)} α_i(x)·f(x·K_i) V_i   (docs/architecture.md).
enum class Selector { all, top_cells, top_experts };  // S
using Gate = kernels::Gate;                           // α
enum class Memory { block, experts };                 // the cells that S picks from
enum class Balance { none, entropy };                 // what keeps S spread

struct Method {
    std::string_view name;
    Selector selector;
    Gate gate;
    Memory memory;
    Balance balance;
    std::string_view formula;
    std::string_view source;
    bool drops_experts = false;  // has the option expert_dropout
};

// The whole field on one page; the only place that knows methods' names.
const std::vector<Method>& methods();
// Throws for an unknown name, with the nearest one.
const Method& method_named(std::string_view name);

std::string_view part_name(Selector selector);
std::string_view part_name(Gate gate);
std::string_view part_name(Memory memory);
std::string_view part_name(Balance balance);

// A layer of any row, also of one that is not in the table. Reads its options (LAYERS.md) and refuses unknown or impossible ones.
std::unique_ptr<nn::FeedForward> make_feed_forward(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place);

}  // namespace moe
