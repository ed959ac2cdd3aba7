#pragma once
#include "engine/base/exec.h"

namespace moe::kernels {

using engine::Exec;
using engine::Size;

// sums[e] = Σ of weights[i] over the choices i with kept[i] = e; the number of such choices where weights is null.
//   kept (N,K) int32, −1: none · weights (N,K), sums (E) of S · counts are exact up to 2²⁴
//   blocks of 64 rows in order on the CPU, a tree of threads an expert elsewhere
template <class D, class S>
void expert_sums(Exec& exec, S* sums, const std::int32_t* kept, const S* weights, Size N, Size K, Size E);

// CV² of the experts' summed gates I, with the population's variance (Shazeer 2017, eq. 6–7):
//   m = mean I,  loss = mean (I − m)² / m²,  slope[e] = ∂loss/∂I_e = 2/(E·m²)·(I_e − m − loss·m)
template <class D, class S>
void squared_variation(Exec& exec, S* loss, S* slope, const S* sums, Size E);
// d[i] = scale·slope[kept[i]], 0 for a choice that is not kept.
template <class D, class S>
void spread_slope(Exec& exec, S* d, const S* slope, const std::int32_t* kept, Size count, double scale);

}  // namespace moe::kernels
