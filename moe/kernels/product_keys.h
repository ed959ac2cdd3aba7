#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;
using engine::Sum;

// M = P² slots whose keys are pairs of sub-keys.
struct ProductKeys {
    Size heads, sub_keys, half, k;  // H, P, D/2, K
    bool shares_query;              // all heads have the query x itself: q (N,D); else q (N,H·D), head h from column h·D
    bool shares_sub_keys;           // one pair of sub-key sets: subkeys (2·P,D/2); else (H·2·P,D/2)

    Size query_columns() const { return shares_query ? 2 * half : heads * 2 * half; }
    Size sub_key_rows() const { return (shares_sub_keys ? 1 : heads) * 2 * sub_keys; }
};

// For every token n and head h the K slots i·P + j with the largest score  s = q₀·subkeys[h,0,i] + q₁·subkeys[h,1,j],  q₀, q₁ the halves of
// the head's query; by falling score, ties to the lower slot.                                           Lample et al. 2019, sec. 3.1
//
//   ids (N,H,K) int32 · scores (N,H,K) of Sum<T>
//   Each half-score is one chain of fused multiply-adds, rounded once; their sum is rounded once. The result is exactly that of a search
//   through all P² sums: candidates are pairs of ranks with (i+1)(j+1) ≤ K, K·ln K of them, and a pair outside can matter only if rounding
//   made its sum equal to the last one taken, which is looked for and then resolved among all equal sums.
//   2·N·H·P·D FLOPs; half-scores of a block of tokens stay in a cache on the CPU, in chunks of 1024 tokens elsewhere
//   exact comparisons: where half-scores are equal bits (AVX2 and above, simt, cuda), so are ids
//   A token whose scores are NaN gets the slots 0, 1, …, K−1 with scores NaN.
template <class D, class T>
void product_key_top_k(Exec& exec, std::int32_t* ids, Sum<T>* scores, Rows<const T> q, Rows<const T> subkeys, const ProductKeys& keys);

// Gradients of the scores as choices of sub-key rows: for each token and query half, the rows of `subkeys` and the weight of each.
//   rows, weights (N,2H,K), or, where the query is shared, (N,2,H·K): J choices for each of the N·groups halves of queries, in their order
template <class D, class S>
void product_key_choices(Exec& exec, std::int32_t* rows, S* weights, const std::int32_t* ids, Rows<const S> dscores,
                         const ProductKeys& keys);

// The K columns of a row's scores that are largest, x[n]·up[:,m], m < M: by falling score, ties to the lower column. x (N,R), up (R,M).
//   ids (N,K) int32; no N·M buffer: blocks of tokens
template <class D, class T>
void low_rank_top_k(Exec& exec, std::int32_t* ids, Rows<const T> x, Rows<const T> up, Size K);

}  // namespace moe::kernels
