#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"
#include "engine/kernels/activation_kind.h"

namespace engine::kernels {

// a = act(x), or act(x)∘z where z is given (a gated linear unit).  All (N,F) of T. `a` may be x.
template <class D, class T>
void activation(Exec& exec, Rows<T> a, Rows<const T> x, Rows<const T> z, Activation kind);

// With q = da·gate[n] (gate null: 1):   dx = q∘act'(x)[∘z],   dz = q∘act(x),   dgate[n] = Σ_f da∘a   (dz, gate, dgate may be null).
// dx may be da. Row sums in sixteen fixed lanes on the CPU, over a tree of threads elsewhere.
template <class D, class T>
void activation_backward(Exec& exec, Rows<T> dx, Rows<T> dz, Sum<T>* dgate, Rows<const T> da, Rows<const T> x, Rows<const T> z,
                         const Sum<T>* gate, Activation kind);

}  // namespace engine::kernels
