#include "moe/gates.h"

#include "engine/base/error.h"

namespace moe {

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
        case Gate::softmax_per_head:
        case Gate::relu:
            break;
    }
    engine::fail("ffn", "the gate is not one of experts: got {}", part_name(gate));
}

}  // namespace moe
