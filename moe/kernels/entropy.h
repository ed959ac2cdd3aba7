#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// With q_n = softmax(z_n), p = mean_n q_n:  loss = Σ_e p_e ln p_e   (Csordás 2023, eq. 20–21), all in log space.
//
// leaf: for one micro-shard the two rows  most[e] = max_n ln q,  sum[e] = Σ_n exp(ln q − most[e]); blocks of 64 rows in order (off the CPU,
// of 64 such blocks, and so on).
template <class D, class S>
void entropy_leaf(Exec& exec, S* most, S* sum, Rows<const S> z);

// From the leaves (shards, 2E) of the whole pass, along the aligned tree: log_p[e] = ln Σ − ln N and the loss.
template <class D, class S>
void entropy_finish(Exec& exec, S* log_p, S* loss, Rows<const S> leaves, Size E, double rows);

// dz[n,e] += scale·q_e·(ln p_e − Σ_e' q_e' ln p_e'),  scale = weight/N.
template <class D, class S>
void entropy_backward(Exec& exec, Rows<S> dz, bool add, Rows<const S> z, const S* log_p, double scale);

}  // namespace moe::kernels
