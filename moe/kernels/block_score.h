#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"
#include "engine/kernels/activation_kind.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// y[c, e·G + g] = w1[e·C + c, g]: the blocks' keys side by side, so that one product scores all cells.   w1 (E·C,G), y (C,E·G) of T
template <class D, class T>
void keys_side_by_side(Exec& exec, Rows<T> y, Rows<const T> w1);

enum class Reduce : std::uint8_t { mean, sum, mean_abs };

// score[n,e] = reduce_g of h[n, e·G + g], or of its activation ("vanilla-m").   h (N,E·G), score (N,E) of S
//   a block's sum in order: the same bits on every device where the activation's are
template <class D, class S>
void block_score(Exec& exec, Rows<S> score, Rows<const S> h, Reduce reduce, engine::kernels::Activation activation);

}  // namespace moe::kernels
