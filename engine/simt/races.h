#pragma once
#include "engine/simt/arena.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace engine::simt {

enum class Access { read, write, atomic };

// Finds two accesses to a byte by different threads, one of them a write, that nothing orders; and shared bytes that are read before they
// are written. __syncthreads orders a block, a full __syncwarp a warp, nothing orders two blocks of a launch; shuffles and votes order no
// memory, and two atomics are no race. Of earlier readers only the last is known, so a race may go unseen, but none is reported in vain.
// It is told of accesses by the hooks in tsan_hooks.cpp, so only kernels compiled with -fsanitize=thread are watched.
class RaceDetector {
  public:
    void begin_launch();
    void begin_block(unsigned block, unsigned threads);
    void block_barrier() { ++barriers_; }
    void warp_barrier(unsigned warp) { ++warp_barriers_[warp]; }
    // Empty, or what is wrong with the access.
    std::string check(const Arena& arena, const void* address, std::size_t bytes, Access access, unsigned thread);

  private:
    struct Event {
        std::uint32_t launch = 0;  // 0: there was none
        std::uint32_t block = 0;
        std::uint32_t barriers = 0;
        std::uint32_t warp_barriers = 0;
        std::uint16_t thread = 0;
        bool atomic = false;
    };
    struct Cell {
        Event write, read;
    };
    static constexpr std::uintptr_t kPageBytes = 4096;
    using Page = std::array<Cell, kPageBytes>;

    Cell& cell_of(std::uintptr_t address);
    bool race(const Event& before, const Event& now, bool shared) const;
    std::string problem(const Cell& cell, const Event& now, bool reads, bool writes, bool shared) const;

    std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages_;
    std::uintptr_t last_number_ = 0;
    Page* last_page_ = nullptr;
    std::uint32_t launch_ = 0, block_ = 0, barriers_ = 0;
    std::vector<std::uint32_t> warp_barriers_;
};

}  // namespace engine::simt
