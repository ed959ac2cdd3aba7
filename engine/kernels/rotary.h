#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// Rotary positions (Su et al. 2021, eq. 34), halves of a head as pairs: with t the position of row n and a = t·10000^(−2i/Sh), i < Sh/2,
//   y_i = x_i·cos a − x_{i+Sh/2}·sin a,   y_{i+Sh/2} = x_{i+Sh/2}·cos a + x_i·sin a.     `back`: by −a, the gradient.
//
//   x, y (B·T, H·Sh) of T, y may be x · table (positions, Sh) of Sum<T>: Sh/2 cosines, then Sh/2 sines · row n stands at first + n mod T
//   memory-bound; one rounding an element
struct RotaryShape {
    Size T, H, Sh, first;
};
template <class D, class T>
void rotary(Exec& exec, Rows<T> y, Rows<const T> x, Rows<const Sum<T>> table, RotaryShape shape, bool back);

}  // namespace engine::kernels
