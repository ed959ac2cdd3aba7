#pragma once
#include "engine/autograd/tape.h"

namespace moe::ops {

using engine::Size;
using engine::Tape;
using engine::Tensor;
using engine::Var;

struct SpatialParameters {
    Var norm_weight, norm_bias;  // (E,W), or (W) where E = 1
    Var weight, bias;            // (E,T,T) and (E,T), or (T,T) and (T)
    Var route;                   // (2W,E); undefined: chunk i has expert i
};

struct SpatialOptions {
    Size experts = 1;
    Size prefix = 0;  // positions that choose the experts, where there is a route
    bool causal = true;
    bool tanh = false;
};

// Which expert each chunk of a sequence has, (B,E) int32, and its probability (B,E); undefined without a route.
struct ChunkRouting {
    Tensor ids_BE, gates_BE;
};

struct SpatialResult {
    Var h_NH;  // H = E·W
    ChunkRouting routing;
};

// The spatial gating unit: every row of z in E chunks, a chunk in halves u and v; h = p·u∘(W_e·LN_e(v) + b_e), e the chunk's expert
// (moe/kernels/spatial_product.h and its neighbours). z (N,2EW), N rows in sequences of `length` ≤ T.
SpatialResult spatial_gating(Tape& tape, const Var& z_NF, Size length, const SpatialParameters& parameters, const SpatialOptions& options);

// What decoding remembers: LN(v) of the positions so far, (B,seen,H), and who has which chunk.
struct SpatialCache {
    Tensor rows_BSH;
    ChunkRouting routing;
};

// The same for `length` new positions after those in the cache, which they join. Row for row the bits of the whole sequence. The first
// call must bring the whole prefix, if there is a route. Nothing is recorded.
SpatialResult spatial_gating_step(Tape& tape, const Var& z_NF, Size length, const SpatialParameters& parameters,
                                  const SpatialOptions& options, SpatialCache& cache);

}  // namespace moe::ops
