#pragma once
#include "engine/tensor/tensor.h"

namespace engine::ops {

// A value of the Sum dtype in `dtype`, as the products of a backward pass need it; itself where it has that dtype.
Tensor rounded(Exec& exec, const Tensor& wide, Dtype dtype);

}  // namespace engine::ops
