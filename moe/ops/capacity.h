#pragma once
#include "moe/ops/whole_pass.h"

namespace moe::ops {

// ⌈factor·k·rows/experts⌉ (LAYERS.md, rule 8), at least 1.
engine::Size capacity_seats(double factor, engine::Size k, engine::Size rows, engine::Size experts);

// Keeps the choices that get one of their expert's seats (moe/kernels/take_seats.h), over the whole pass. The ids stay; a choice without a
// seat is not kept.
Picks with_capacity(engine::Exec& exec, const Picks& picks, engine::Size experts, double factor);

}  // namespace moe::ops
