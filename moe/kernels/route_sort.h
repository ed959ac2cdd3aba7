#pragma once
#include "engine/base/exec.h"

namespace moe::kernels {

using engine::Exec;
using engine::Size;

// The stable counting sort by expert of all choices that are kept, R ≤ N·K.
//   ids (N,K) in, −1: not kept · offsets (E+1): first routed row of each expert · token (R) · position (N,K): routed row of each choice, or
//   −1 shard_begin (shards+1, E): first routed row of expert e from micro-shard s on; shard s has rows [begin[s,e], begin[s+1,e]) tokens
//   ascend within an expert; integers only, the same on every device
struct RouteArrays {
    std::int32_t* offsets;
    std::int32_t* token;
    std::int32_t* position;
    std::int32_t* shard_begin;
};
template <class D>
void route_sort(Exec& exec, const RouteArrays& out, const std::int32_t* ids, Size N, Size K, Size E, Size shards);

// y[r] = x[n,k] for the routed row r of each choice, and back, 0 for one without.   x (N,K), y (R) of S; `count` = N·K.
template <class D, class S>
void to_routed(Exec& exec, S* y, const S* x, const std::int32_t* position, Size count);
template <class D, class S>
void from_routed(Exec& exec, S* x, const S* y, const std::int32_t* position, Size count);

}  // namespace moe::kernels
