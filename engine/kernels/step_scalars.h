#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// Blocks that squared_sums cuts a row of so many elements into.
constexpr Size kSquaresBlock = 4096;
ENGINE_BOTH constexpr Size squares_blocks(Size columns) { return (columns + kSquaresBlock - 1) / kSquaresBlock; }

// sums[r·blocks + b] = Σ g² of block b of row r, in double.   g (R,n) of S; sums (R·blocks). No sum depends on the rows beside it.
template <class D, class S>
void squared_sums(Exec& exec, double* sums, Rows<const S> g);

// sums[k·stride + b] = Σ g² of strip k (strips.h) of block b of `block_rows` rows, in double.   g (R,C) of S, C of `strips` strips;
// b < ⌈R / block_rows⌉. Ranks that share the columns form the same sums of theirs.
template <class D, class S>
void squared_strip_sums(Exec& exec, double* sums, Size stride, Rows<const S> g, int strips, Size block_rows);

// norm[0] = √Σ sums, in order; clip_factor = min(1, clip / (norm + 1e-6)), 1 where clip is 0, written to the step's scalars. A norm that is
// not finite gives factor 0.   sums (count)
template <class D>
void clip_by_norm(Exec& exec, StepScalars* scalars, double* norm, const double* sums, Size count, double clip);

// Puts a step's values into device memory. They travel with the call: nothing waits.
template <class D>
void write_scalars(Exec& exec, StepScalars* to, const StepScalars& values);

}  // namespace engine::kernels
