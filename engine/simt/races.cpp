#include "engine/simt/races.h"

#include "engine/base/error.h"

#include <algorithm>

namespace engine::simt {

void RaceDetector::begin_block(unsigned threads) {
    std::fill_n(cells_.begin(), std::min(touched_, cells_.size()), Cell{});
    touched_ = 0;
    barriers_ = 0;
    warp_barriers_.assign((threads + 31) / 32, 0);
}

bool RaceDetector::ordered(const Event& before, unsigned thread) const {
    if (!before.there || before.thread == thread || before.barriers != barriers_) return true;
    return before.thread / 32 == thread / 32 && before.warp_barriers != warp_barriers_[thread / 32];
}

std::string RaceDetector::check(const Arena& arena, std::size_t offset, std::size_t bytes, Access access, unsigned thread) {
    if (cells_.empty()) cells_.resize(Arena::kBytes);
    touched_ = std::max(touched_, offset + bytes);
    std::string problem;
    for (std::size_t at = offset; at < std::min(offset + bytes, Arena::kBytes); ++at) {
        Cell& cell = cells_[at];
        auto two = [&](const char* what, const Event& other) {
            if (problem.empty()) problem = fmt::format("{}: threads {} and {}, with no barrier between", what, other.thread, thread);
        };
        const Arena::Slot* slot = arena.find(at);
        if (slot == nullptr)
            return fmt::format("shared memory is {} out of bounds by thread {}", access == Access::read ? "read" : "written", thread);
        if (access != Access::write && !cell.write.there && problem.empty()) {
            problem = fmt::format("shared memory is read before it is written: thread {}", thread);
        }
        bool both_atomic = access == Access::atomic && cell.write.atomic;
        if (!both_atomic && !ordered(cell.write, thread)) two(access == Access::read ? "write–read race" : "write–write race", cell.write);
        if (access != Access::read && !ordered(cell.read, thread) && !(access == Access::atomic && cell.read.atomic)) {
            two("read–write race", cell.read);
        }
        Event now{barriers_, warp_barriers_[thread / 32], static_cast<std::uint16_t>(thread), true, access == Access::atomic};
        (access == Access::read ? cell.read : cell.write) = now;
        if (!problem.empty()) return fmt::format("{}, in {} at byte {}", problem, slot_name(*slot), at - slot->offset);
    }
    return problem;
}

}  // namespace engine::simt
