#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;
using engine::Sum;

// Each of N tokens chose J rows of a table of M. Sorted by slot_sort: `order` and `offsets`, which gradients of the table need and which
// let the CPU walk through the table instead of through the tokens; null where nobody needs them. The table's columns may be one of `parts`
// equal parts of all, 2, 4 or 8 of a multiple of 16·parts (engine/kernels/strips.h): every result then has the bits of the whole table's,
// dots those of a node of its tree over strips.
struct RowChoices {
    Size tokens, choices, rows;
    const std::int32_t* ids;      // (N,J)
    const std::int32_t* offsets;  // (M+1)
    const std::int32_t* order;    // (N·J)
    int parts = 1;

    ENGINE_BOTH Size count() const { return tokens * choices; }
};

// The three kernels behind every method of small cells. x, y (N,C) and table (M,C) of T; weights and dots (N,J) of Sum<T>.
// No buffer of N·J·C. Bytes: N·J rows of C read once each, of the table or, in a gradient, of x; 2·N·J·C FLOPs.
// Elements of the table are counted in 64 bits. Nothing depends on the rows beside a row, on threads, or on whether choices are sorted.

// a[n,j] = x[n]·table[ids[n,j]], formed per strip of columns and then along the tree over strips
template <class D, class T>
void row_dots(Exec& exec, Rows<Sum<T>> a, Rows<const T> x, Rows<const T> table, const RowChoices& choices);

// y[n] (+)= Σ_j w[n,j]·table[ids[n,j]].   On the CPU by rising row, then rising j, of a table that a cache holds by rising j; elsewhere by
// rising j.
template <class D, class T>
void row_combine(Exec& exec, Rows<T> y, bool add, Rows<const Sum<T>> w, Rows<const T> table, const RowChoices& choices);

// dtable[m] (+)= Σ w[n,j]·x[n] over ids[n,j] = m, by rising (n,j) within each of exec's micro-shards, then along the aligned tree; rows
// that nobody chose are not summed: exact zeros, or untouched with `add`. Where `a` is given, also row_dots(a, x, table) while x is read.
template <class D, class T>
void row_gradient(Exec& exec, Rows<Sum<T>> dtable, bool add, Rows<const Sum<T>> w, Rows<const T> x, const RowChoices& choices,
                  Rows<Sum<T>> a = {}, Rows<const T> table = {});

}  // namespace moe::kernels
