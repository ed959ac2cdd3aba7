#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// y[n,:] = x[n,:] where it is among the K largest of its row by signed value, ties to the lower index, else 0. NaN ranks as −∞.
// ids (N,K) int32: their columns, in falling order. Exact comparisons: the same on every device.
template <class D, class T>
void keep_top(Exec& exec, Rows<T> y, std::int32_t* ids, Rows<const T> x, Size K);

// dx[n, ids[n,k]] = dy[n, ids[n,k]], 0 elsewhere.
template <class D, class T>
void keep_top_backward(Exec& exec, Rows<T> dx, Rows<const T> dy, const std::int32_t* ids, Size K);

}  // namespace moe::kernels
