#include "moe/gates.h"

#include "engine/base/error.h"
#include "moe/selectors/biased.h"

namespace moe {

namespace {

kernels::Gate gate_named(const std::string& word) {
    if (word == "raw") return kernels::Gate::raw;
    if (word == "sigmoid") return kernels::Gate::sigmoid;
    if (word == "softmax-chosen") return kernels::Gate::softmax_chosen;
    return word == "softmax-all" ? kernels::Gate::softmax_all : kernels::Gate::one;
}

}  // namespace

kernels::GateRule read_gate(Gate gate, const nn::OptionTable& options) {
    switch (gate) {
        case Gate::one:
            return {.gate = kernels::Gate::one};
        case Gate::sigmoid:
            return {.gate = kernels::Gate::sigmoid};
        case Gate::softmax_all:
            return {.gate = kernels::Gate::softmax_all};
        case Gate::softmax_chosen:
            return {.gate = kernels::Gate::softmax_chosen};
        case Gate::softmax_of_two:
            return {.gate = kernels::Gate::softmax_chosen,
                    .over_kept = options.word("renormalise", "after", {"before", "after"}) == "after"};
        case Gate::of_option:
            return {.gate = gate_named(options.word("gate", "none", {"none", "raw", "sigmoid", "softmax-chosen", "softmax-all"}))};
        case Gate::of_score: {
            bool renormalised = options.flag("renormalise", false);
            double scale = options.number("route_scale", 1.0);
            if (read_score(options) == kernels::Score::softmax)
                return {.gate = renormalised ? kernels::Gate::softmax_chosen : kernels::Gate::softmax_all, .scale = scale};
            return {.gate = renormalised ? kernels::Gate::sigmoid_chosen : kernels::Gate::sigmoid, .scale = scale};
        }
        case Gate::probability:  // the selector makes it
            return {};
        case Gate::softmax_per_head:
        case Gate::relu:
            break;
    }
    engine::fail("ffn", "the gate is not one of experts: got {}", part_name(gate));
}

}  // namespace moe
