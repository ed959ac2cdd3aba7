#include "moe/methods/table.h"

#include "engine/base/error.h"
#include "moe/block_layer.h"
#include "moe/experts_layer.h"
#include "moe/low_rank_layer.h"
#include "moe/product_keys_layer.h"
#include "moe/spatial_layer.h"

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
        {"noisy-topk",     Selector::noisy_top_experts,   Gate::softmax_chosen, Memory::experts, Balance::gate_variation,    "y = Σ_top-k softmax(h_top-k)_e·act(x·w1_e)·w2_e, h = z + ν·softplus(x·noise_w)", "Shazeer 2017, eq. 3–7",
         Leaks::never, Start::shazeer},
        {"switch",         Selector::top_experts,         Gate::softmax_all,    Memory::experts, Balance::fraction_mean,     "y = Σ_top-k softmax(z)_e·act(x·w1_e)·w2_e",     "Fedus 2021, eq. 1–6",
         Leaks::with_capacity, Start::fedus, {.capacity = true, .balance_scale = true, .default_k = 1}},
        {"gshard",         Selector::first_and_second,    Gate::softmax_of_two, Memory::experts, Balance::fraction_mean,     "y = Σ_2 p_e/(p_1+p_2)·act(x·w1_e)·w2_e, p = softmax(z)", "Lepikhin 2020, alg. 1",
         Leaks::with_capacity},
        {"base",           Selector::balanced_assignment, Gate::sigmoid,        Memory::experts, Balance::exact,             "y = σ(z_e)·act(x·w1_e)·w2_e, e balanced",       "Lewis 2021, eq. 2–3",
         Leaks::in_training, Start::lewis, {.residual_mix = true}},
        {"s-base",         Selector::sinkhorn_plan,       Gate::sigmoid,        Memory::experts, Balance::sinkhorn,          "y = Σ_top-k(plan) σ(z_e)·act(x·w1_e)·w2_e",     "Clark 2022, sec. 2.2",
         Leaks::in_training},
        {"hash",           Selector::balanced_table,      Gate::one,            Memory::experts, Balance::by_table,          "y = Σ_table(token) act(x·w1_e)·w2_e",           "Roller 2021, sec. 3"},
        {"rand-hash",      Selector::random_table,        Gate::one,            Memory::experts, Balance::by_table,          "y = Σ_table(token) act(x·w1_e)·w2_e",           "Liu 2023, sec. 3"},
        {"expert-choice",  Selector::experts_choose,      Gate::probability,    Memory::experts, Balance::exact,             "y = Σ_{e took x} p_e·act(x·w1_e)·w2_e",         "Zhou 2022, eq. 1–4",
         Leaks::always},
        {"deepseek",       Selector::biased_groups,       Gate::of_score,       Memory::experts, Balance::sequence_and_bias, "y = shared(x) + Σ_top-k(s+b) s_e·act(x·w1_e)·w2_e", "Dai 2024, eq. 9–14; DeepSeek-V3, eq. 12–20",
         Leaks::never, Start::deepseek, {.shared_block = true}},
        {"avg-k",          Selector::mean_keys,           Gate::of_option,      Memory::experts, Balance::none,              "y = Σ_top-k(x·mean w1_e) act(x·w1_e)·w2_e",     "Liu 2023, sec. 4"},
        {"vanilla-m",      Selector::cell_keys,           Gate::one,            Memory::experts, Balance::none,              "y = Σ_top-k(mean x·w1_e) act(x·w1_e)·w2_e",     "Liu 2023, sec. 3"},
        {"lorkm",          Selector::low_rank_keys,    Gate::one,            Memory::scored_cells, Balance::none,    "y = Σ_top-k act(s_m)·values_m, s = x·down·up", "Liu 2023, sec. 3"},
        {"pkm",            Selector::product_keys,     Gate::softmax_per_head, Memory::values, Balance::query_norm,   "y = Σ_heads Σ_top-k softmax(s)_m·values_m, s_(i,j) = q₀·K₀_i + q₁·K₁_j", "Lample 2019, sec. 3",
         Leaks::with_batch_norm},
        {"pkm-relu",       Selector::product_keys_of_input, Gate::relu,      Memory::values,  Balance::none,         "y = Σ_heads Σ_top-k relu(s_m)·values_m, s_(i,j) = x₀·K₀_i + x₁·K₁_j", "Csordás 2023, sec. 3.2"},
        {"pkm-ffn",        Selector::product_keys,     Gate::softmax_per_head, Memory::keyed_values, Balance::none,       "y = Σ_heads Σ_top-k softmax(s)_m·act(x·keys_m)·values_m", "Liu 2023, sec. 3",
         Leaks::with_batch_norm},
        {"peer",           Selector::shared_product_keys, Gate::softmax_per_head, Memory::one_cell_experts, Balance::query_norm, "y = Σ_heads Σ_top-k softmax(s)_m·act(x·keys_m)·values_m", "He 2024, alg. 1",
         Leaks::with_batch_norm},
        {"memory-plus",    Selector::product_keys,     Gate::softmax_per_head, Memory::gated_values, Balance::query_norm, "y = (pkm(x) ∘ silu(x·swilu))·out",          "Berges 2024, sec. 3",
         Leaks::with_batch_norm},
        {"gmlp",           Selector::all,              Gate::one,            Memory::positions, Balance::none,        "y = (u∘(tril(W)·LN(v) + b))·out, (u,v) = gelu(x·in)", "Liu 2021, eq. 1–3",
         Leaks::with_prefix},
        {"smlp",           Selector::feature_chunks,   Gate::one,            Memory::position_experts, Balance::exact, "y = ‖_chunks p·u_i∘(tril(W_e)·LN(v_i) + b_e) ·out",   "Yu 2022, sec. 3",
         Leaks::with_prefix},
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
        case Selector::noisy_top_experts:
            return "top-k experts of noisy logits";
        case Selector::first_and_second:
            return "top-1 and a second";
        case Selector::product_keys:
            return "product keys, own sub-keys a head";
        case Selector::shared_product_keys:
            return "product keys, shared sub-keys";
        case Selector::product_keys_of_input:
            return "product keys, x as query";
        case Selector::low_rank_keys:
            return "low-rank keys";
        case Selector::balanced_assignment:
            return "balanced assignment";
        case Selector::sinkhorn_plan:
            return "Sinkhorn's plan";
        case Selector::balanced_table:
            return "balanced table of token ids";
        case Selector::random_table:
            return "random table of token ids";
        case Selector::experts_choose:
            return "experts take tokens";
        case Selector::biased_groups:
            return "top-k experts, biased, in groups";
        case Selector::mean_keys:
            return "top-k blocks by mean key";
        case Selector::cell_keys:
            return "top-k blocks by their cells";
        case Selector::feature_chunks:
            return "an expert a chunk of features";
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
            return "softmax over the two";
        case Gate::of_option:
            return "1, or by option";
        case Gate::of_score:
            return "sigmoid or softmax";
        case Gate::probability:
            return "probability";
        case Gate::softmax_per_head:
            return "softmax per head";
        case Gate::relu:
            return "ReLU";
    }
    return "";
}
std::string_view part_name(Memory memory) {
    switch (memory) {
        case Memory::block:
            return "one block";
        case Memory::experts:
            return "experts";
        case Memory::scored_cells:
            return "cells, their score before the activation";
        case Memory::values:
            return "value rows";
        case Memory::keyed_values:
            return "cells with own keys";
        case Memory::one_cell_experts:
            return "one-cell experts";
        case Memory::gated_values:
            return "value rows, gated output";
        case Memory::positions:
            return "spatial gating unit";
        case Memory::position_experts:
            return "spatial gating units";
    }
    return "";
}
std::string_view part_name(Balance balance) {
    switch (balance) {
        case Balance::none:
            return "none";
        case Balance::entropy:
            return "entropy";
        case Balance::fraction_mean:
            return "E·Σ f·P, z-loss";
        case Balance::query_norm:
            return "query norm";
        case Balance::gate_variation:
            return "CV²";
        case Balance::sequence_and_bias:
            return "bias, Σ f·P a sequence";
        case Balance::exact:
            return "exact";
        case Balance::sinkhorn:
            return "Sinkhorn";
        case Balance::by_table:
            return "by table";
    }
    return "";
}

std::unique_ptr<nn::FeedForward> make_feed_forward(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place) {
    std::unique_ptr<nn::FeedForward> layer;
    switch (method.memory) {
        case Memory::block:
            layer = std::make_unique<BlockLayer>(method, options, place);
            break;
        case Memory::experts:
            layer = std::make_unique<ExpertsLayer>(method, options, place);
            break;
        case Memory::scored_cells:
            layer = std::make_unique<LowRankLayer>(options, place);
            break;
        case Memory::values:
        case Memory::keyed_values:
        case Memory::one_cell_experts:
        case Memory::gated_values:
            layer = std::make_unique<ProductKeysLayer>(method, options, place);
            break;
        case Memory::positions:
        case Memory::position_experts:
            return make_mixer(method, options, place);
    }
    options.expect_all_used();
    return layer;
}

bool is_mixer(const Method& method) { return method.memory == Memory::positions || method.memory == Memory::position_experts; }

std::unique_ptr<nn::Mixer> make_mixer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place) {
    engine::expect(is_mixer(method), "mixer", "the method does not mix positions: got \"{}\"", method.name);
    auto layer = std::make_unique<SpatialLayer>(method, options, place);
    options.expect_all_used();
    return layer;
}

nn::Parameter* value_table(nn::FeedForward& layer) {
    auto* keys = dynamic_cast<ProductKeysLayer*>(&layer);
    return keys != nullptr ? &keys->values() : nullptr;
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
        case Leaks::with_batch_norm:
            if (!options.contains("query_norm") || options.word("query_norm") != "batch") return "";
            return "leaks the future in training: the query's batch norm has statistics over all tokens, later ones included";
        case Leaks::with_prefix:
            if (options.contains("causal") && !options.flag("causal")) return "leaks the future: every position sees the whole window";
            if (!options.contains("routing") || options.word("routing") != "partial-prediction") return "";
            return "leaks the future within a sequence's first positions, which choose its experts and carry no loss";
        case Leaks::with_capacity:
            if (given("capacity_factor", 0) == 0 || given("k", method.extras.default_k == 0 ? 2 : 1) < 2) return "";
            return "leaks the future: with a capacity a later first choice takes an earlier second choice's seat";
    }
    return "";
}

}  // namespace moe
