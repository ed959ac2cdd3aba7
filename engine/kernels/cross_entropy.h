#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// loss[n] = ln Σ_v e^{z[n,v]} − z[n, target[n]], 0 where target[n] = −1;  lse[n] = ln Σ_v e^{z[n,v]}.   z (N,V) of S = Sum<T>.
// Memory-bound: reads z twice.
template <class D, class S>
void cross_entropy(Exec& exec, S* loss, S* lse, Rows<const S> z, const std::int32_t* target);

// z[n,v] becomes its own gradient, in place: weight·(e^{z − lse} − [v = target[n]]), 0 where target[n] = −1.
template <class D, class S>
void cross_entropy_backward(Exec& exec, Rows<S> z, const S* lse, const std::int32_t* target, double weight);

// y[0] = Σ_i x[i], i < count: blocks of 1024 in order, sixteen lanes each.
template <class D, class S>
void ordered_sum(Exec& exec, S* y, const S* x, Size count);

}  // namespace engine::kernels
