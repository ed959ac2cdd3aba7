#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// lse[n] = ln Σ_e exp(z[n,e]), from the row's largest value on.   z (N,E), lse (N) of S
template <class D, class S>
void row_lse(Exec& exec, S* lse, Rows<const S> z);

// The z-loss (Zoph 2022, eq. 5).  leaf = Σ_n lse[n]²;  dz[n,e] (+)= scale·2·lse[n]·exp(z[n,e] − lse[n]),  scale = weight/N.
template <class D, class S>
void z_loss_leaf(Exec& exec, S* leaf, const S* lse, Size rows);
template <class D, class S>
void z_loss_backward(Exec& exec, Rows<S> dz, bool add, Rows<const S> z, const S* lse, double scale);

}  // namespace moe::kernels
