#pragma once
#include "engine/simt/arena.h"

#include <cstdint>
#include <string>
#include <vector>

namespace engine::simt {

enum class Access { read, write, atomic };

// Finds, in shared memory, bytes that are read before they are written, and two accesses of different threads, one of them a write, that no
// barrier orders. It is told of accesses by the hooks in tsan_hooks.cpp, so only kernels compiled with -fsanitize=thread are watched.
// __syncthreads orders the block, a full __syncwarp the warp; shuffles and votes order no memory.
class RaceDetector {
  public:
    void begin_block(unsigned threads);
    void block_barrier() { ++barriers_; }
    void warp_barrier(unsigned warp) { ++warp_barriers_[warp]; }
    // Empty, or what is wrong with the access. `offset` counts from the arena.s first byte.
    std::string check(const Arena& arena, std::size_t offset, std::size_t bytes, Access access, unsigned thread);

  private:
    struct Event {
        std::uint32_t barriers = 0;
        std::uint32_t warp_barriers = 0;
        std::uint16_t thread = 0;
        bool there = false;
        bool atomic = false;
    };
    struct Cell {
        Event write, read;
    };
    bool ordered(const Event& before, unsigned thread) const;

    std::vector<Cell> cells_;  // one a byte of the arena, made at the first access
    std::size_t touched_ = 0;  // cells that may hold something
    std::uint32_t barriers_ = 0;
    std::vector<std::uint32_t> warp_barriers_;
};

}  // namespace engine::simt
