#pragma once
// The tensors of X in `moegrad layer FILE --in X --out Y`: all that can be wrong with them is found in the header, before memory is taken.
#include "apps/single_layer.h"
#include "engine/io/safetensors.h"

#include <vector>

namespace apps {

struct LayerTensors {
    std::vector<nn::Parameter*> parameters;
    std::vector<nn::State*> states;
};

// Throws, naming the tensor, what was got and what was expected, for a tensor that is missing, not known or of another shape or dtype, and
// for parameters that this machine cannot hold. Afterwards a parameter or state that stands in the file begins with the file's values; the
// file must stay open until they are made.
LayerTensors bind_inputs(const engine::io::SafetensorsFile& file, SingleLayer& layer, nn::Size channels, engine::Dtype dtype);

}  // namespace apps
