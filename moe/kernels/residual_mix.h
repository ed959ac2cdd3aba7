#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;
using engine::Sum;

// out[n,:] = y[n,:] + (1 − α[n])·x[n,:]: what BASE adds to α·f(x) (Lewis 2021, released code).   y, x, out (N,C) of T · α (N) of Sum<T>
template <class D, class T>
void residual_mix(Exec& exec, Rows<T> out, Rows<const T> y, Rows<const T> x, const Sum<T>* alpha);

// dx[n,:] (+)= (1 − α[n])·d[n,:];  dalpha[n] = −Σ_c d·x, in sixteen fixed lanes on the CPU, over a tree of threads elsewhere.
template <class D, class T>
void residual_mix_backward(Exec& exec, Rows<T> dx, bool add, Sum<T>* dalpha, Rows<const T> d, Rows<const T> x, const Sum<T>* alpha);

}  // namespace moe::kernels
