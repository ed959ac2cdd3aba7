#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// ids[n] = e(n) that maximises Σ_n z[n,e(n)] with N/E rows an expert, the first N mod E experts one more (Lewis 2021, eq. 2); so of more
// experts than rows only the first N take part.
//   z (N,E) of S; what is no finite number counts as the smallest that is · ids (N) int32
//
// The auction of Bertsekas and Castañon (1989) for similar objects, with ε-scaling. Scores become whole numbers, 2³⁶ steps over their
// range, times N + 1; so at ε = 1 the assignment is the optimum of the rounded scores, and rounding costs at most N·range·2⁻³⁷ of the sum.
// Every row without an expert bids for the best one as much as it beats the second best, plus ε; an expert keeps its highest bids, ties to
// the lower row, and its price is the lowest bid kept. All bids of a round see the same prices, so rounds, and the same ids, follow on
// every device.
//   CPU: some ten bids a row, each O(E), and heaps; elsewhere one kernel of one block, whose rounds are barriers
template <class D, class S>
void balanced_assignment(Exec& exec, std::int32_t* ids, Rows<const S> z);

}  // namespace moe::kernels
