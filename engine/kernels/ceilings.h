#pragma once
#include "engine/base/exec.h"

namespace engine::kernels {

// Loops that do one thing only. What they reach is this machine's ceiling, and speeds are stated as fractions of it.

// The row that the i-th read of read_rows_loop takes (multiplicative hashing). rows < 2³².
ENGINE_BOTH inline Size scattered_row(Size i, Size rows) {
    return static_cast<Size>((static_cast<std::uint64_t>(static_cast<std::uint32_t>(i) * 2654435769u) * static_cast<std::uint64_t>(rows)) >>
                             32);
}

// `rounds` rounds of independent multiply-adds that stay in registers, on every thread; sink[0] gets a sum, so that nothing is left out.
// bf16: pairs of products per fp32 sum where the processor has them, else fp32 (CPU only). Returns the FLOPs done.
template <class D, class T>
double multiply_add_loop(Exec& exec, float* sink, Size rounds);

// sink[0] = the sum of x's elements, roughly; reads every byte once.
template <class D>
void read_loop(Exec& exec, float* sink, const float* x, Size count);

// The same of whole rows of `columns` elements, in an order without a pattern: what a table of rows that tokens choose can give.
// Reads as many rows as there are, some twice, some never.
template <class D>
void read_rows_loop(Exec& exec, float* sink, const float* x, Size rows, Size columns);

// y = x; reads and writes every byte once.
template <class D>
void copy_loop(Exec& exec, float* y, const float* x, Size count);

}  // namespace engine::kernels
