#pragma once
#include "moe/ops/picks.h"

namespace moe::ops {

// The experts of each row's token: rows of table (V,K) by token ids (N), both int32. Where the host can read them, ids and experts out of
// range are errors.
Picks lookup(engine::Exec& exec, const engine::Tensor& table_VK, const engine::Tensor& tokens_N, engine::Size rows, engine::Size experts);

}  // namespace moe::ops
