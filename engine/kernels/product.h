#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace engine::kernels {

// How an operand is stored: as the formula names it, or with its two dimensions exchanged.
enum class Layout : std::uint8_t { normal, transposed };

// c (+)= a·b (+ bias on every row).   a (M,K), b (K,N) as the formula names them, c (M,N), bias (N) or null.
//
//   every element of c is one chain of fused multiply-adds over k, in order (with `add`, from the old c): its bits depend on no other
//   row, no size but K, and no number of threads. bf16 multiplies pairs where the processor does (tile/item.h): the same chain, except
//   that values below 2⁻¹²⁶ count as 0.
//   On GPUs bf16 goes through tensor cores, 16 values of k at once, their order the hardware's and the same for every element; where a is
//   transposed (a weight's gradient) a long k is cut into parts that M, N and K set, whose sums are added in order (docs/adr/0009).
//   Out is T or Sum<T>; bf16 sums in fp32 and rounds once.
template <class D, class T, class Out>
void product(Exec& exec, Rows<Out> c, Rows<const T> a, Layout layout_a, Rows<const T> b, Layout layout_b, bool add,
             const T* bias = nullptr);

}  // namespace engine::kernels
