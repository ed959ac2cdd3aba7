#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// The loss  scale·Σ_e f_e·P_e  with P_e the mean of softmax(z)_e and f_e the share of rows whose first choice is e (Fedus 2021, eq. 4–6).
//
// leaf (2E) of one micro-shard: Σ_n softmax(z_n)_e, then the counts of first choices.   z (N,E), lse (N), ids (N,K)
//   counts are exact up to 2²⁴ rows · blocks of 64 rows in order on the CPU, a tree of threads an expert elsewhere
template <class D, class S>
void fraction_mean_leaf(Exec& exec, S* leaf, Rows<const S> z, const S* lse, const std::int32_t* ids, Size K);

// loss from the means (2E) over the whole pass: P, then f.
template <class D, class S>
void fraction_mean_loss(Exec& exec, S* loss, const S* means, Size E, double scale);

// dz[n,e] (+)= scale·q_e·(f_e − Σ_e' q_e'·f_e'),  q = softmax(z_n),  scale = weight·scale/N.  f has no gradient.
template <class D, class S>
void fraction_mean_backward(Exec& exec, Rows<S> dz, bool add, Rows<const S> z, const S* lse, const S* f, double scale);

}  // namespace moe::kernels
