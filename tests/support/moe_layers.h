#pragma once
// Layers of the table of methods in tests: built from options in one line, run with given tensors, every result by its name in LAYERS.md.
#include "engine/autograd/tape.h"
#include "moe/methods/table.h"

#include <map>
#include <string>
#include <vector>

namespace tests {

using engine::Dtype;
using engine::Exec;
using engine::Size;
using Table = std::map<std::string, std::vector<double>>;

struct LayerCase {
    std::string method;
    Size N, C;
    std::string options;       // "n_experts=4 expert_size=8 second=random renormalise=true"
    Size sequence_length = 0;  // T; 0: none
    std::vector<std::int32_t> token_ids = {};
    bool training = true;
    const moe::Method* row = nullptr;  // one that is not in the table; else the table's, by `method`
    Table fixed = {};                  // in place of initial values that would hide what they multiply
};

nn::OptionTable options_of(const std::string& text);
// An option's number, or `otherwise`.
double option(const LayerCase& layer, const std::string& name, double otherwise);
std::string word(const LayerCase& layer, const std::string& name, const std::string& otherwise);

// y, ids, gates, loss.*, next.*, param.*, and with dy dx and grad.*. `fixed` replaces initial values of parameters and states by name.
Table run_layer(Exec& exec, Dtype dtype, const LayerCase& layer, const std::vector<double>& x, const std::vector<double>& dy,
                const Table& fixed = {});

// Values for every parameter and floating state of the layer, of the size that training leaves, whatever the method begins with.
Table moved_values(const LayerCase& layer);

// The largest error of dx and every grad.* against central differences of Σ dy∘y + Σ weight·loss, relative to the largest gradient of the
// same tensor; float64 on the cpu, step 1e-5.
double layer_gradient_error(const LayerCase& layer, const std::vector<double>& x, const std::vector<double>& dy, const Table& fixed = {});

// The same layer as `ranks` virtual ranks over `shards` micro-shards: rank 0's losses, next.* and gradients after the tree, and all rows.
Table run_layer_on_ranks(int ranks, int shards, engine::Device device, Dtype dtype, const LayerCase& layer, const std::vector<double>& x,
                         const std::vector<double>& dy, const Table& fixed = {});

// y (N,C) of E experts of G cells: Σ_k gates[n,k]·act(x·w1_e)[∘(x·w3_e)]·w2_e, e = ids[n,k]; one with id −1 adds nothing.
std::vector<double> naive_experts(const LayerCase& layer, const std::vector<double>& x, const Table& param, const std::vector<double>& ids,
                                  const std::vector<double>& gates);
// x·w for x (N,C), w (C,F).
std::vector<double> naive_product(const std::vector<double>& x, const std::vector<double>& w, Size N, Size C, Size F);
double naive_activation(const std::string& kind, double x);

}  // namespace tests
