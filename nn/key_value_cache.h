#pragma once
#include "engine/tensor/tensor.h"

namespace nn {

// Keys and values of the positions that a stream has seen, for decoding token by token.
struct KeyValueCache {
    engine::Tensor keys, values;  // (B, seen, H·S); undefined while nothing was seen
    engine::Tensor positions;     // (at least seen, H·S): projected positions, nearest last; undefined without relative positions
};

}  // namespace nn
