#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;
using engine::Sum;

// Who of the ranks that share E experts, `experts` each, has which choice. All integers: the same on every device.

// out[i] = ids[i] − first where that is one of `experts` and has a slot, if slots are given; else −1.   ids, out, slot (count)
template <class D>
void own_ids(Exec& exec, std::int32_t* out, const std::int32_t* ids, Size count, Size first, Size experts,
             const std::int32_t* slot = nullptr);

// out[i] = ids[i] / experts, −1 of −1: the owner's number.   ids, out (count)
template <class D>
void owners(Exec& exec, std::int32_t* out, const std::int32_t* ids, Size count, Size experts);

// out[n,p] = p where a choice of row n belongs to owner p, else −1.   ids (N,K), out (N,P)
template <class D>
void owners_of_rows(Exec& exec, std::int32_t* out, const std::int32_t* ids, Size N, Size K, Size P, Size experts);

// y[i] = x[index[i]], or x[through[index[i]]] where `through` is given; and y[index[i]] = x[i]. Where the index is −1 nothing is read or
// written.   Rows of T; memory-bound.
template <class D, class T>
void take_rows(Exec& exec, Rows<T> y, Rows<const T> x, const std::int32_t* index, const std::int32_t* through = nullptr);
template <class D, class T>
void put_rows(Exec& exec, Rows<T> y, Rows<const T> x, const std::int32_t* index);

// y[n] (+)= Σ_k x[position[n,k]], choices of −1 left out, in the order of grouped_combine_product: on the CPU by ascending (ids[n,k], k),
// elsewhere by ascending k.   y (N,C) of T; x (R,C) of Sum<T>; position, ids (N,K)
template <class D, class T>
void sum_routed_rows(Exec& exec, Rows<T> y, bool add, Rows<const Sum<T>> x, const std::int32_t* position, const std::int32_t* ids, Size K);

}  // namespace moe::kernels
