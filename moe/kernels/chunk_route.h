#pragma once
#include "moe/kernels/chunks.h"

namespace moe::kernels {

// Partial prediction: which expert chunk i of sequence b has, from its first P = `prefix` positions.        Yu et al. 2022, sec. 3.2
//
//   c[b,i,:] = mean_{t<P} z[b,t,chunk i],   p[b,i,:] = softmax(c·w),   id[b,i] = argmax (ties to the lower index),   gate[b,i] = p[id]
//
//   z (N,2EW), w (2W,E) of T · c (B·E,2W), p (B·E,E), gates (B·E) of Sum<T> · ids (B·E)
//   every sum in order, one number a thread: ids have equal bits on every device; p differs by its exponentials' rounding
template <class D, class T>
void chunk_route(Exec& exec, std::int32_t* ids, Sum<T>* gates, Rows<Sum<T>> p, Rows<Sum<T>> c, Rows<const T> z, Rows<const T> w,
                 const Chunks& chunks, Size prefix);

// dlogits[b,i,e] = dgate·p[id]·([e = id] − p[e]);   dz[b,t,chunk i] += (w·dlogits)/P for t < P.
// w's gradient is cᵀ·dlogits, a product of the engine.
template <class D, class T>
void chunk_route_backward(Exec& exec, Rows<Sum<T>> dlogits, Rows<T> dz, const Sum<T>* dgates, const std::int32_t* ids, Rows<const Sum<T>> p,
                          Rows<const T> w, const Chunks& chunks, Size prefix);

}  // namespace moe::kernels
