#pragma once
#include "engine/autograd/var.h"

#include <functional>
#include <string>
#include <vector>

namespace nn {

using engine::Dtype;
using engine::Shape;
using engine::Size;
using engine::Tensor;
using engine::Var;

// Initial values in row-major order, from a seed that is the run's seed mixed with the parameter's full name.
using Initial = std::function<std::vector<double>(const Shape& shape, std::uint64_t seed)>;

// How ranks may divide a parameter among them: by its first dimension; a table by its columns, as strips (engine/kernels/strips.h).
enum class Split { none, by_expert, by_column };

// A trained tensor of a module. Its memory is a place in the flat buffers of a ParameterStore.
struct Parameter {
    std::string name;  // full name, as in model.safetensors
    Shape shape;
    Initial initial;
    std::string part;       // key of train.lr_scale, e.g. "values"; empty: factor 1
    bool decays = true;     // weight decay: matrices by default
    bool is_table = false;  // a step reads some of its rows only
    Split split = Split::none;
    Var var;  // compute copy and gradient; set by the store
    // Not null: one more use of another module's parameter, with its values. Every use's gradient is summed over all micro-shards by itself
    // and then added to the owner's, so that its bits are those of any number of ranks.
    Parameter* owner = nullptr;
};

// A tensor without gradient that is saved with the weights: a router's bias, a hash table, running statistics. A training step may leave
// `next`, which becomes `value` after the update; where that is made of all passes of the step, `sums` and `rows` are of those so far.
struct State {
    std::string name;
    Shape shape;
    Dtype dtype = Dtype::f32;  // a floating one becomes the Sum dtype of the parameters
    Initial initial;
    Tensor value;
    Tensor next, sums;
    double rows = 0;
};

}  // namespace nn
