#pragma once
#include "engine/tensor/tensor.h"

namespace moe::ops {

// Which experts each row goes to.
struct Picks {
    engine::Tensor ids_NK;   // int32: the experts chosen, as they are reported
    engine::Tensor kept_NK;  // int32: the same, −1 where a choice was dropped and is not computed; one tensor with ids where all are kept
    engine::Size most_rows = 0;  // no more choices than these are kept; the host knows no closer bound
};

}  // namespace moe::ops
