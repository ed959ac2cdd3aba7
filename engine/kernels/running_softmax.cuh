#pragma once
// Attention's keys go by in chunks of one a thread, with a running maximum (Milakov & Gimelshein 2018). What attention.cu and
// xl_attention.cu share once a score is known.
#include "engine/base/rows.h"
#include "engine/cuda/launch.h"

namespace engine::kernels::inline ENGINE_DEVICE {

constexpr int kKeyChunk = 128;  // keys, and output columns, of a pass: one a thread

struct ChunkProbabilities {
    float p[kKeyChunk];
};

// A thread's part: it scores key first + threadIdx.x of each chunk and keeps one output column.
struct RunningSoftmax {
    float most = -INFINITY, sum = 0, total = 0;

    // All threads of the block call it. `score` −∞ where the query does not see this thread's key; values: row `first` on, this head's
    // columns; column `c` of Sh.
    template <class T>
    __device__ void add_chunk(ChunkProbabilities& chunk, float score, bool sees, Rows<const T> values, Size column, Size first, Size seen,
                              Size c, Size Sh) {
        float larger = block_max(score, -INFINITY);
        larger = larger > most ? larger : most;
        float shrink = expf(most - larger);
        float p = sees ? expf(score - larger) : 0.0f;
        chunk.p[threadIdx.x] = p;
        sum = sum * shrink + block_sum(p);
        total *= shrink;
        __syncthreads();
        if (c < Sh) {
            Size count = seen - first < kKeyChunk ? seen - first : kKeyChunk;
            for (Size n = 0; n < count; ++n) total += chunk.p[n] * load(values.row(first + n)[column + c]);
        }
        __syncthreads();
        most = larger;
    }
    __device__ float result() const { return total / sum; }
    __device__ float log_sum_exp() const { return most + logf(sum); }
};

}  // namespace engine::kernels::inline ENGINE_DEVICE
