#pragma once
#include "engine/autograd/tape.h"
#include "engine/comm/shares.h"
#include "moe/ops/picks.h"

namespace moe::ops {

// Every rank's rows of this pass, in order of ranks; `rows` itself on one rank. For choices that look at all rows.
engine::Tensor whole_pass(engine::Exec& exec, const engine::Tensor& rows);
// This rank's rows of such a whole.
engine::Tensor own_rows(engine::Exec& exec, const engine::Tensor& whole);
// This rank's first row in the whole pass: what random counters count from.
engine::Size first_row(const engine::Exec& exec, engine::Size rows);

// leaves (shards, W): the sum of each micro-shard of this rank. Returns (W): the sum over the whole pass along the aligned tree, divided.
engine::Tensor pass_sum(engine::Exec& exec, const engine::Tensor& leaves_SW, double divisor);
// Room for such leaves, without padding.
engine::Tensor shard_leaves(engine::Exec& exec, engine::Size width, engine::Dtype dtype);

}  // namespace moe::ops
