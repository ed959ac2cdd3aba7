#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// h[n,e] = z[n,e] + ν·softplus(s[n,e]),  ν ~ N(0,1) drawn for (row in the whole batch, e)          Shazeer 2017, eq. 4
//   all (N,E) of S · seed and step come from exec.scalars · ν has the same bits on every device (moe/kernels/exact_random.h)
template <class D, class S>
void noisy_logits(Exec& exec, Rows<S> h, Rows<const S> z, Rows<const S> s, std::uint32_t site, Size first_row);

// ds = dh·ν·σ(s);  dz is dh.
template <class D, class S>
void noisy_logits_backward(Exec& exec, Rows<S> ds, Rows<const S> dh, Rows<const S> s, std::uint32_t site, Size first_row);

}  // namespace moe::kernels
