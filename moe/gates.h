#pragma once
#include "moe/kernels/gates.h"
#include "moe/methods/table.h"

namespace moe {

// α of a row of the table, with what its options say.
kernels::GateRule read_gate(Gate gate, const nn::OptionTable& options);

}  // namespace moe
