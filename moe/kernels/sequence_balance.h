#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"
#include "moe/kernels/biased_scores.h"

namespace moe::kernels {

// DeepSeek's balance of single sequences:  mean over sequences of Σ_e f_e·P_e,  f_e = E/(K·T)·count of e among all K choices,  P_e the mean
// of r_e = softmax(z)_e or σ(z_e)/Σσ(z).  Dai 2024, eq. 12–14; DeepSeek-V3, eq. 17–20.
//
// sums (sequences,2E): Σ r_e, then counts, over the T rows of each.   z (sequences·T,E) of S, ids (…,K)
template <class D, class S>
void sequence_sums(Exec& exec, Rows<S> sums, Rows<const S> z, const std::int32_t* ids, Size K, Size T, Score score);

// sum = Σ over sequences of Σ_e (E/(K·T)·count_e)·(Σ r_e / T).
template <class D, class S>
void sequence_loss(Exec& exec, S* sum, Rows<const S> sums, Size K, Size T);

// dz[n,e] (+)= scale·∂(Σ_e' f_e'·r_e')/∂z_e with f of the row's sequence, row n of sequence n/T;  scale = weight/(sequences·T).
template <class D, class S>
void sequence_balance_backward(Exec& exec, Rows<S> dz, bool add, Rows<const S> z, Rows<const S> sums, Size K, Size T, Size rows_a_sum,
                               Score score, double scale);

}  // namespace moe::kernels
