#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;
using engine::Sum;

// m[e,c] = mean_g w1[e,c,g]: the mean of each block's keys (Liu 2023, sec. 4).   w1 (E·C,G) of T, m (E,C) of Sum<T>
//   memory-bound, reads w1 once · sixteen interleaved sums a row on the CPU, a tree of 32 elsewhere
template <class D, class T>
void mean_keys(Exec& exec, Rows<Sum<T>> m, Rows<const T> w1);

// dw1[e,c,g] (+)= dm[e,c]/G.   dw1 (E·C,G), dm (E,C) of S
template <class D, class S>
void mean_keys_backward(Exec& exec, Rows<S> dw1, bool add, Rows<const S> dm);

}  // namespace moe::kernels
