#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// y[w] = Σ_s x[s,w] / divisor, along the aligned tree over the rows s (PROGRAMS, "A step").   x (S,W), y (W)
//   rows are sums of micro-shards: the same bits whatever number of ranks formed them
template <class D, class S>
void tree_rows(Exec& exec, S* y, Rows<const S> x, double divisor);

}  // namespace moe::kernels
