#pragma once
#include "engine/autograd/tape.h"

namespace moe::ops {

// y[n] = Σ_{i,j} max(0, Σ_h x₀[n]·K[h,0,i] + Σ_h x₁[n]·K[h,1,j])·values[i·P + j],  x₀, x₁ the halves of x[n].
// No choice: the layer that the σ-MoE paper's released sweeps ran for PKM (reference: the summed heads act as one set of keys).
// x (N,C), subkeys K (H,2,P,C/2), values (P²,C). Cells are computed for 256 rows at a time, and again in the backward pass.
engine::Var all_cells(engine::Tape& tape, const engine::Var& x_NC, const engine::Var& subkeys, const engine::Var& values_MC);

}  // namespace moe::ops
