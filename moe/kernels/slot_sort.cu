#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/slot_sort.h"

#include <utility>

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr int kSlotDigits = 16, kSlotBits = 4, kSlotThreads = 128, kSlotItems = 8;
constexpr Size kSlotTile = kSlotThreads * kSlotItems;

// A tile's items by digit and thread; a thread's items are neighbours, so that the order of (thread, item) is the order of choices.
struct SlotDigits {
    std::int32_t count[kSlotDigits][kSlotThreads];
};

__device__ inline void count_slot_digits(SlotDigits& counts, const std::int32_t* keys, Size first, Size last, int shift) {
    for (int d = 0; d < kSlotDigits; ++d) counts.count[d][threadIdx.x] = 0;
    for (Size i = first; i < last; ++i) ++counts.count[keys[i] >> shift & (kSlotDigits - 1)][threadIdx.x];
}

__device__ inline Size slot_first() { return static_cast<Size>(blockIdx.x) * kSlotTile + static_cast<Size>(threadIdx.x) * kSlotItems; }
__device__ inline Size slot_last(Size R) { return slot_first() + kSlotItems < R ? slot_first() + kSlotItems : R; }

// totals[d, tile]: items of the tile with digit d.
__global__ void slot_count_kernel(std::int32_t* totals, const std::int32_t* keys, Size R, int shift) {
    auto& counts = engine::shared_memory<SlotDigits>();
    count_slot_digits(counts, keys, slot_first(), slot_last(R), shift);
    __syncthreads();
    if (threadIdx.x >= kSlotDigits) return;
    std::int32_t sum = 0;
    for (int t = 0; t < kSlotThreads; ++t) sum += counts.count[threadIdx.x][t];
    totals[static_cast<Size>(threadIdx.x) * gridDim.x + blockIdx.x] = sum;
}

struct SlotChunks {
    std::int32_t sum[kSlotThreads];
};

// The exclusive sum of `count` values, in place, by one block: every thread has a run of neighbours.
__global__ void slot_sum_kernel(std::int32_t* values, Size count) {
    auto& chunks = engine::shared_memory<SlotChunks>();
    Size run = (count + kSlotThreads - 1) / kSlotThreads, first = threadIdx.x * run, last = first + run < count ? first + run : count;
    std::int32_t sum = 0;
    for (Size i = first; i < last; ++i) sum += values[i];
    chunks.sum[threadIdx.x] = sum;
    __syncthreads();
    std::int32_t begin = 0;
    for (unsigned t = 0; t < threadIdx.x; ++t) begin += chunks.sum[t];
    for (Size i = first; i < last; ++i) {
        std::int32_t value = values[i];
        values[i] = begin;
        begin += value;
    }
}

// Moves keys and choices to their places by one digit. `choices` null: the items are the choices 0, 1, ….
__global__ void slot_place_kernel(std::int32_t* keys_out, std::int32_t* choices_out, const std::int32_t* begin, const std::int32_t* keys,
                                  const std::int32_t* choices, Size R, int shift) {
    auto& counts = engine::shared_memory<SlotDigits>();
    Size first = slot_first(), last = slot_last(R);
    count_slot_digits(counts, keys, first, last, shift);
    __syncthreads();
    if (threadIdx.x < kSlotDigits) {
        std::int32_t at = begin[static_cast<Size>(threadIdx.x) * gridDim.x + blockIdx.x];
        for (int t = 0; t < kSlotThreads; ++t) {
            std::int32_t count = counts.count[threadIdx.x][t];
            counts.count[threadIdx.x][t] = at;
            at += count;
        }
    }
    __syncthreads();
    for (Size i = first; i < last; ++i) {
        std::int32_t to = counts.count[keys[i] >> shift & (kSlotDigits - 1)][threadIdx.x]++;
        keys_out[to] = keys[i];
        choices_out[to] = choices != nullptr ? choices[i] : static_cast<std::int32_t>(i);
    }
}

// offsets[m]: how many sorted keys are below m.
__global__ void slot_offsets_kernel(std::int32_t* offsets, const std::int32_t* keys, Size R, Size M) {
    Size m = engine::element_index();
    if (m > M) return;
    Size low = 0, high = R;
    while (low < high) {
        Size middle = (low + high) / 2;
        if (keys[middle] < m) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    offsets[m] = static_cast<std::int32_t>(low);
}

}  // namespace ENGINE_DEVICE

template <class D>
void slot_sort(Exec& exec, std::int32_t* offsets, std::int32_t* order, const std::int32_t* ids, Size R, Size M) {
    Size tiles = (R + kSlotTile - 1) / kSlotTile;
    dim3 grid(static_cast<unsigned>(tiles));
    engine::Scratch<std::int32_t> totals(exec, tiles * kSlotDigits + 1), buffer(exec, 3 * R + 1);
    std::int32_t *keys_next = buffer.data(), *keys_other = keys_next + R, *spare = keys_other + R;
    int passes = 1;
    while (passes * kSlotBits < 31 && M > Size{1} << (passes * kSlotBits)) ++passes;
    // Choices go back and forth between `spare` and `order`, and end in `order`.
    const std::int32_t *keys = ids, *choices = nullptr;
    for (int pass = 0; pass < passes; ++pass) {
        std::int32_t* choices_next = (passes - pass) % 2 == 1 ? order : spare;
        engine::launch("slot_count_kernel", slot_count_kernel, grid, kSlotThreads, 0, exec.stream, totals.data(), keys, R,
                       pass * kSlotBits);
        engine::launch("slot_sum_kernel", slot_sum_kernel, dim3(1), kSlotThreads, 0, exec.stream, totals.data(), tiles * kSlotDigits);
        engine::launch("slot_place_kernel", slot_place_kernel, grid, kSlotThreads, 0, exec.stream, keys_next, choices_next, totals.data(),
                       keys, choices, R, pass * kSlotBits);
        keys = keys_next;
        choices = choices_next;
        std::swap(keys_next, keys_other);
    }
    engine::launch("slot_offsets_kernel", slot_offsets_kernel, engine::element_grid(M + 1), engine::kElementThreads, 0, exec.stream,
                   offsets, keys, R, M);
}

template void slot_sort<Here>(Exec&, std::int32_t*, std::int32_t*, const std::int32_t*, Size, Size);

}  // namespace moe::kernels
