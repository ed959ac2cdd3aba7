#include "moe/methods/table.h"

#include "engine/base/error.h"
#include "moe/block_layer.h"
#include "moe/experts_layer.h"

namespace moe {

const std::vector<Method>& methods() {
    static const std::vector<Method> table = {
        // clang-format off
        // name            selector                    gate                  memory           balance                 formula and source
        {"dense",          Selector::all,              Gate::one,            Memory::block,   Balance::none,          "y = act(x·w1)·w2",                              "Vaswani 2017, eq. 2"},
        {"topk",           Selector::top_cells,        Gate::one,            Memory::block,   Balance::none,          "y = top_k(act(x·w1))·w2",                       "Csordás 2023, eq. 5–6"},
        {"sigma-moe",      Selector::top_experts,      Gate::sigmoid,        Memory::experts, Balance::entropy,       "y = Σ_top-k σ(z_e)·act(x·w1_e)·w2_e",           "Csordás 2023, eq. 17–22",
         Leaks::never, Start::sigma_moe, {.expert_dropout = true}},
        {"softmax-before", Selector::top_experts,      Gate::softmax_all,    Memory::experts, Balance::entropy,       "y = Σ_top-k softmax(z)_e·act(x·w1_e)·w2_e",     "Csordás 2023, sec. 4"},
        {"softmax-after",  Selector::top_experts,      Gate::softmax_chosen, Memory::experts, Balance::entropy,       "y = Σ_top-k softmax(z_top-k)_e·act(x·w1_e)·w2_e", "Csordás 2023, sec. 4"},
        {"switch",         Selector::top_experts,      Gate::softmax_all,    Memory::experts, Balance::fraction_mean, "y = Σ_top-k softmax(z)_e·act(x·w1_e)·w2_e",     "Fedus 2021, eq. 1–6",
         Leaks::with_capacity, Start::fedus, {.capacity = true, .balance_scale = true, .default_k = 1}},
        {"gshard",         Selector::first_and_second, Gate::softmax_of_two, Memory::experts, Balance::fraction_mean, "y = Σ_2 p_e/(p_1+p_2)·act(x·w1_e)·w2_e, p = softmax(z)", "Lepikhin 2020, alg. 1",
         Leaks::with_capacity, Start::sigma_moe},
        // clang-format on
    };
    return table;
}

const Method& method_named(std::string_view name) {
    std::vector<std::string> names;
    for (const Method& method : methods()) {
        if (method.name == name) return method;
        names.emplace_back(method.name);
    }
    engine::fail("ffn", "no such method: got \"{}\"; hint: did you mean \"{}\"? `moegrad methods` lists them", name,
                 nn::nearest_name(std::string(name), names));
}

std::string_view part_name(Selector selector) {
    switch (selector) {
        case Selector::all:
            return "all";
        case Selector::top_cells:
            return "top-k cells";
        case Selector::top_experts:
            return "top-k experts";
        case Selector::first_and_second:
            return "top-1 and a second";
    }
    return "";
}
std::string_view part_name(Gate gate) {
    switch (gate) {
        case Gate::one:
            return "1";
        case Gate::sigmoid:
            return "sigmoid";
        case Gate::softmax_all:
            return "softmax over all";
        case Gate::softmax_chosen:
            return "softmax over chosen";
        case Gate::softmax_of_two:
            return "softmax over the two, before or after dropping";
    }
    return "";
}
std::string_view part_name(Memory memory) { return memory == Memory::block ? "one block" : "experts"; }
std::string_view part_name(Balance balance) {
    switch (balance) {
        case Balance::none:
            return "none";
        case Balance::entropy:
            return "entropy";
        case Balance::fraction_mean:
            return "E·Σ f·P, z-loss";
    }
    return "";
}

std::unique_ptr<nn::FeedForward> make_feed_forward(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place) {
    std::unique_ptr<nn::FeedForward> layer;
    if (method.memory == Memory::block) {
        layer = std::make_unique<BlockLayer>(method, options, place);
    } else {
        layer = std::make_unique<ExpertsLayer>(method, options, place);
    }
    options.expect_all_used();
    return layer;
}

std::string leak_note(const Method& method, const nn::OptionTable& options) {
    auto given = [&](const char* name, double otherwise) { return options.contains(name) ? options.number(name) : otherwise; };
    switch (method.leaks) {
        case Leaks::never:
            return "";
        case Leaks::in_training:
            return "leaks the future in training: a later token can move an earlier one to another expert";
        case Leaks::always:
            return "leaks the future: experts choose among all tokens, later ones included";
        case Leaks::with_capacity:
            if (given("capacity_factor", 0) == 0 || given("k", method.extras.default_k == 0 ? 2 : 1) < 2) return "";
            return "leaks the future: with a capacity a later first choice takes an earlier second choice's seat";
    }
    return "";
}

}  // namespace moe
