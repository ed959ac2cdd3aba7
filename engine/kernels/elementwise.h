#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// Memory-bound; every element once; no sums, so the same bits on every device.

// y = value
template <class D, class T>
void fill(Exec& exec, Rows<T> y, Sum<T> value);

// y += x
template <class D, class T>
void add_into(Exec& exec, Rows<T> y, Rows<const T> x);

// z = x + y
template <class D, class T>
void add(Exec& exec, Rows<T> z, Rows<const T> x, Rows<const T> y);

}  // namespace engine::kernels
