#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// y[n,:] = table[ids[n],:].  Ids outside [0, V) give zeros on cuda; ops check them on the host elsewhere.
template <class D, class T>
void embedding(Exec& exec, Rows<T> y, Rows<const T> table, const std::int32_t* ids);

// dtable[v,:] (+)= Σ_{n: ids[n]=v} dy[n,:], n in order.  Every row of dtable is owned by one task: no atomics.
template <class D, class T>
void embedding_backward(Exec& exec, Rows<Sum<T>> dtable, Rows<const T> dy, const std::int32_t* ids, bool add);

}  // namespace engine::kernels
