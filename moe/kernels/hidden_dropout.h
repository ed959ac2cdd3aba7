#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

// Element dropout on experts' hidden values, in place:  a = a / (1 − rate) where random_bits(seed, step, site, element) ≥ rate·2³², else 0.
// The backward pass is the same call on gradients.
//
//   a (R,G) of T, sorted by expert · position (choices): the routed row of each choice; negative: none
//   element = (first_choice + choice)·G + column: the mask follows token and slot, not the order of rows or the rank
//   seed and step come from exec.scalars in device memory · memory-bound
struct HiddenDropout {
    float rate = 0;
    std::uint32_t site = 0;
    Size first_choice = 0;  // of this rank in the whole batch
};
template <class D, class T>
void hidden_dropout(Exec& exec, Rows<T> a, const std::int32_t* position, Size choices, HiddenDropout dropout);

}  // namespace moe::kernels
