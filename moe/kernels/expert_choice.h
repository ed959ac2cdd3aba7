#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// Every expert takes the rows it likes best (Zhou 2022, eq. 2–4).
//
// rows[e,:]: the `seats` rows with the largest p[:,e], falling, ties to the lower row; NaN ranks as 0.   p (N,E) ≥ 0 · rows (E,seats) int32
//   exact comparisons: the same rows on every device · O(N + seats·ln seats) an expert on the CPU; elsewhere one block an expert, which
//   finds the lowest p taken bit by bit, O(N), and ranks what it took, O(seats²)
template <class D, class S>
void best_rows(Exec& exec, std::int32_t* rows, Rows<const S> p, Size seats);

// For rows [first, first + N) of those: kept[n,e] = e and gates[n,e] = p[n,e] where e took row first + n, else −1 and 0.
//   p (N,E), kept (N,E), gates (N,E) without padding
template <class D, class S>
void spread_rows(Exec& exec, std::int32_t* kept, S* gates, const std::int32_t* rows, Rows<const S> p, Size first, Size seats);

// gates[e,s] = p[rows[e,s], e].   p of the whole pass
template <class D, class S>
void gather_gates(Exec& exec, S* gates, const std::int32_t* rows, Rows<const S> p, Size seats);

// d[n,e] = p[n,e]·dgates[n,e] where kept, else 0; and with it the gradient of the softmax that made p:
//   over experts: dz[n,e] = d[n,e] − p[n,e]·Σ_e' d[n,e'];   over rows: dz[n,e] = d[n,e] − p[n,e]·sums[e], sums over the whole pass
template <class D, class S>
void expert_choice_sums(Exec& exec, S* sums, Rows<const S> p, const std::int32_t* kept, const S* dgates);
template <class D, class S>
void expert_choice_backward(Exec& exec, Rows<S> dz, Rows<const S> p, const std::int32_t* kept, const S* dgates, const S* sums);

}  // namespace moe::kernels
