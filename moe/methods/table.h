#pragma once
#include "moe/initial_values.h"
#include "nn/mixer.h"
#include "nn/options.h"

#include <memory>
#include <string_view>
#include <vector>

namespace moe {

// The four parts of a method:  y = Σ_{i∈S(x)} α_i(x)·f(x·K_i) V_i   (docs/architecture.md).
enum class Selector {  // S
    all,
    top_cells,
    top_experts,
    noisy_top_experts,
    first_and_second,
    balanced_assignment,
    sinkhorn_plan,
    balanced_table,
    random_table,
    experts_choose,
    biased_groups,
    mean_keys,
    cell_keys,
    product_keys,           // its own query, sub-keys of each head
    shared_product_keys,    // its own query, sub-keys for all heads
    product_keys_of_input,  // x itself is the query
    low_rank_keys,
    feature_chunks,  // every chunk of a row's features has an expert, by its index or by the sequence's first positions
};
enum class Gate {  // α
    one,
    sigmoid,
    softmax_all,
    softmax_chosen,
    softmax_of_two,
    of_option,
    of_score,
    probability,
    softmax_per_head,
    relu,
};
enum class Memory {  // the cells that S picks from
    block,
    experts,
    scored_cells,      // act(score)·value
    values,            // value
    keyed_values,      // act(x·key)·value
    one_cell_experts,  // the same, with a gated linear unit as an option
    gated_values,      // value; the layer's output is gated and projected
    positions,         // a matrix over a window's positions, in a spatial gating unit
    position_experts,  // several of them
};
enum class Balance {  // what keeps S spread
    none,
    entropy,
    fraction_mean,
    gate_variation,
    sequence_and_bias,
    exact,
    sinkhorn,
    by_table,
    query_norm,
};

// Whether a row's output may depend on later rows (METHODS.md).
enum class Leaks {
    never,
    with_capacity,    // where there is one: a later row's first choice takes the seat of an earlier row's later choice
    with_batch_norm,  // where the query has one, in training: its statistics are over all rows
    with_prefix,      // where a sequence's first positions choose, among themselves; or where it is not causal
    in_training,
    always,
};

// What a method has beside its parts.
struct Extras {
    bool expert_dropout = false;
    bool capacity = false;
    bool balance_scale = false;
    bool shared_block = false;
    bool residual_mix = false;
    nn::Size default_k = 0;  // 0: k must be given
};

struct Method {
    std::string_view name;
    Selector selector;
    Gate gate;
    Memory memory;
    Balance balance;
    std::string_view formula;
    std::string_view source;
    Leaks leaks = Leaks::never;
    Start start = Start::sigma_moe;
    Extras extras = {};
};

// The whole field on one page; the only place that knows methods' names.
const std::vector<Method>& methods();
// Throws for an unknown name, with the nearest one.
const Method& method_named(std::string_view name);

std::string_view part_name(Selector selector);
std::string_view part_name(Gate gate);
std::string_view part_name(Memory memory);
std::string_view part_name(Balance balance);

// What a report of a run with these options must say about later positions reaching earlier ones; empty where none does.
std::string leak_note(const Method& method, const nn::OptionTable& options);

// A layer of any row, also of one that is not in the table. Reads its options (LAYERS.md) and refuses unknown or impossible ones.
std::unique_ptr<nn::FeedForward> make_feed_forward(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place);

// Stands in place of attention and not of a feed-forward.
bool is_mixer(const Method& method);
// The layer of such a row, as make_feed_forward makes it. Throws for another row.
std::unique_ptr<nn::Mixer> make_mixer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place);

// The values of a layer whose table other layers may share (nn::LayerPlace::values); null for other layers.
nn::Parameter* value_table(nn::FeedForward& layer);

}  // namespace moe
