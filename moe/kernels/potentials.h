#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// The half-steps of Sinkhorn's iteration in log space, over groups of T rows of z (groups·T,E):
//   b[n]   = −ln Σ_e exp(z[n,e] + sign·a[g,e])      a (groups,E), null: 0
//   a[g,e] = −ln Σ_n exp(z[n,e] + sign·b[n])        n over the rows of group g; b null: 0
// Choices depend on these sums: exponentials and logarithms in plain arithmetic, sums in one order (over e; over rows in blocks of 64, then
// over blocks), so fp32 gives the same bits on every device.
template <class D, class S>
void row_potentials(Exec& exec, S* b, Rows<const S> z, const S* a, Size T, int sign);
template <class D, class S>
void column_potentials(Exec& exec, S* a, Rows<const S> z, const S* b, Size T, int sign);

// y[n,e] = z[n,e] + a[g,e] + b[n], or its exponential; a, b null: 0.
template <class D, class S>
void add_potentials(Exec& exec, Rows<S> y, Rows<const S> z, const S* a, const S* b, Size T, bool exponential);

}  // namespace moe::kernels
