#pragma once
#include "engine/base/exec.h"

namespace moe::kernels {

using engine::Exec;
using engine::Size;

// ids[n,k] = table[tokens[n],k].   tokens (N), table (V,K), ids (N,K), all int32; every token below V.
template <class D>
void lookup(Exec& exec, std::int32_t* ids, const std::int32_t* table, const std::int32_t* tokens, Size N, Size K);

}  // namespace moe::kernels
