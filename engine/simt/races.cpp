#include "engine/simt/races.h"

#include "engine/base/error.h"

namespace engine::simt {

void RaceDetector::begin_launch() {
    ++launch_;
    // What earlier launches did is ordered before this one.
    constexpr std::size_t kManyPages = 1024;
    if (pages_.size() > kManyPages) {
        pages_.clear();
        last_page_ = nullptr;
    }
}

void RaceDetector::begin_block(unsigned block, unsigned threads) {
    block_ = block;
    barriers_ = 0;
    warp_barriers_.assign((threads + 31) / 32, 0);
}

RaceDetector::Cell& RaceDetector::cell_of(std::uintptr_t address) {
    std::uintptr_t number = address / kPageBytes;
    if (last_page_ == nullptr || number != last_number_) {
        std::unique_ptr<Page>& page = pages_[number];
        if (!page) page = std::make_unique<Page>();
        last_page_ = page.get();
        last_number_ = number;
    }
    return (*last_page_)[address % kPageBytes];
}

bool RaceDetector::ordered(const Event& before, unsigned thread, bool shared) const {
    if (before.launch != launch_) return true;
    if (before.block != block_) return shared;
    if (before.thread == thread || before.barriers != barriers_) return true;
    return before.thread / 32 == thread / 32 && before.warp_barriers != warp_barriers_[thread / 32];
}

std::string RaceDetector::check(const Arena& arena, const void* address, std::size_t bytes, Access access, unsigned thread) {
    bool shared = arena.holds(address), reads = access == Access::read;
    auto describe = [&](const char* kind, const Event& other) {
        std::string why = other.block == block_ ? "with no barrier between" : fmt::format("the first in block {} of the grid", other.block);
        return fmt::format("{}: threads {} and {}, {}", kind, other.thread, thread, why);
    };
    auto first = reinterpret_cast<std::uintptr_t>(address);
    for (std::uintptr_t at = first; at < first + bytes; ++at) {
        const Arena::Slot* slot = shared ? arena.find(arena.offset_of(address) + (at - first)) : nullptr;
        if (shared && slot == nullptr)
            return fmt::format("shared memory is {} out of bounds by thread {}", reads ? "read" : "written", thread);
        Cell& cell = cell_of(at);
        auto race_with = [&](const Event& other) {
            return !(access == Access::atomic && other.atomic) && !ordered(other, thread, shared) ? &other : nullptr;
        };
        std::string problem;
        if (shared && access != Access::write && !of_this_block(cell.write)) {
            problem = fmt::format("shared memory is read before it is written: thread {}", thread);
        } else if (const Event* writer = race_with(cell.write)) {
            problem = describe(reads ? "write–read race" : "write–write race", *writer);
        } else if (const Event* reader = reads ? nullptr : race_with(cell.read)) {
            problem = describe("read–write race", *reader);
        }
        (reads ? cell.read : cell.write) = {
            launch_, block_, barriers_, warp_barriers_[thread / 32], static_cast<std::uint16_t>(thread), access == Access::atomic};
        if (problem.empty()) continue;
        return problem + (shared
                              ? fmt::format(", in {} at byte {}", slot_name(*slot), arena.offset_of(address) + (at - first) - slot->offset)
                              : fmt::format(", in global memory at {}", fmt::ptr(reinterpret_cast<const void*>(at))));
    }
    return {};
}

}  // namespace engine::simt
