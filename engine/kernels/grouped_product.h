#pragma once
#include "engine/kernels/product.h"

namespace engine::kernels {

// R ≤ N·K routed rows sorted by expert: rows [offsets[e], offsets[e+1]) belong to expert e and to tokens token[r], ascending within an
// expert; rows from offsets[E] on stay empty. All arrays stand on the device; only their sizes are known to the host.
struct Groups {
    Size experts, rows;
    const std::int32_t* offsets;   // (E+1)
    const std::int32_t* token;     // (R)
    const std::int32_t* position;  // (N,K): the routed row of each choice, −1 for one that is not computed
    const std::int32_t* ids;       // (N,K): the expert of each choice, −1 likewise
    Size choices;                  // K
};

// c[r,:] = a[token[r],:]·b_e.   a (N,K'), b (E·K',G) or, transposed, (E·G,K'); c (R,G).
template <class D, class T>
void grouped_gather_product(Exec& exec, Rows<T> c, Rows<const T> a, Rows<const T> b, Layout layout_b, const Groups& groups);

// c[r,:] = scale[r]·a[r,:]·b_e: what a choice adds to its token in grouped_combine_product.   a (R,G), b (E·G,C) or, transposed, (E·C,G);
// c (R,C) of Sum<T>; scale (R) or null.
template <class D, class T>
void grouped_rows_product(Exec& exec, Rows<Sum<T>> c, Rows<const T> a, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                          const Groups& groups);

// y[n,:] (+)= Σ_k scale[r]·a[r,:]·b_e over the routed rows r of token n.   a (R,G), b (E·G,C) or, transposed, (E·C,G); y (N,C);
// scale (R) or null. No N·K·C buffer: a choice's product is summed by itself and added, on the CPU by ascending expert, elsewhere by
// ascending choice: the bits of grouped_rows_product, added in that order. Where the CPU multiplies pairs of bf16, scaled rows are rounded
// to bf16.
template <class D, class T>
void grouped_combine_product(Exec& exec, Rows<T> y, bool add, Rows<const T> a, const Sum<T>* scale, Rows<const T> b, Layout layout_b,
                             const Groups& groups);

// db_e (+)= Σ_r a[r]ᵀ·(c[r]·scale[r]) over rows [begin[e], end[e]).   db (E·A,G) of Sum<T>. One side is gathered through token: a where
// gather_left, else c; the other has routed rows. The scale (R) or null belongs to the side with routed rows; where the
// CPU multiplies pairs of bf16, scaled rows are rounded to bf16.
template <class D, class T>
void grouped_weight_gradient(Exec& exec, Rows<Sum<T>> db, bool add, Rows<const T> a, Rows<const T> c, bool gather_left, const Sum<T>* scale,
                             const std::int32_t* begin, const std::int32_t* end, const Groups& groups);

}  // namespace engine::kernels
