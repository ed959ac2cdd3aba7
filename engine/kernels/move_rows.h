#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// For every sequence b < B: rows [to_first, to_first + count) of its `to_length` rows in y are set to, or (add) increased by, rows
// [from_first, …) of its `from_length` rows in x. Memory-bound.
struct RowMove {
    Size batch, count;
    Size to_length, to_first;
    Size from_length, from_first;
};
template <class D, class T>
void move_rows(Exec& exec, Rows<T> y, Rows<const T> x, RowMove move, bool add);

}  // namespace engine::kernels
