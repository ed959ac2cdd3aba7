#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace walk {

using engine::Exec;
using engine::Rows;
using engine::Size;

// gates[n,k] = ln(1 + exp(z[n,e])),  e = ids[n,k]
//
//   z (N,E) of S · ids, gates (N,K) · memory-bound: 3·N·K elements · an element alone, so the same bits on every run
template <class D, class S>
void softplus_gate(Exec& exec, Rows<S> gates, Rows<const S> z, const std::int32_t* ids);

// dz (N,E) is set: dgates[n,k]·σ(z[n,e]) for the experts of row n, 0 for the others.
template <class D, class S>
void softplus_gate_backward(Exec& exec, Rows<S> dz, Rows<const S> dgates, Rows<const S> z, const std::int32_t* ids);

}  // namespace walk
