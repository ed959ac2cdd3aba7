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

bool RaceDetector::race(const Event& before, const Event& now, bool shared) const {
    if (before.launch != now.launch || (before.atomic && now.atomic)) return false;
    if (before.block != now.block) return !shared;
    if (before.thread == now.thread || before.barriers != now.barriers) return false;
    return before.thread / 32 != now.thread / 32 || before.warp_barriers == now.warp_barriers;
}

std::string RaceDetector::problem(const Cell& cell, const Event& now, bool reads, bool writes, bool shared) const {
    auto between = [&](const char* kind, const Event& before) {
        std::string why =
            before.block == now.block ? "with no barrier between" : fmt::format("the first in block {} of the grid", before.block);
        return fmt::format("{}: threads {} and {}, {}", kind, before.thread, now.thread, why);
    };
    bool written = cell.write.launch == now.launch && cell.write.block == now.block;
    if (shared && reads && !written) return fmt::format("shared memory is read before it is written: thread {}", now.thread);
    if (race(cell.write, now, shared)) return between(writes ? "write–write race" : "write–read race", cell.write);
    if (writes && race(cell.read, now, shared)) return between("read–write race", cell.read);
    return {};
}

std::string RaceDetector::check(const Arena& arena, const void* address, std::size_t bytes, Access access, unsigned thread) {
    Event now{launch_, block_, barriers_, warp_barriers_[thread / 32], static_cast<std::uint16_t>(thread), access == Access::atomic};
    bool shared = arena.holds(address), reads = access != Access::write, writes = access != Access::read;
    auto first = reinterpret_cast<std::uintptr_t>(address);
    for (std::uintptr_t at = first; at < first + bytes; ++at) {
        std::size_t offset = shared ? arena.offset_of(address) + (at - first) : 0;
        const Arena::Slot* slot = shared ? arena.find(offset) : nullptr;
        if (shared && slot == nullptr)
            return fmt::format("shared memory is {} out of bounds by thread {}", writes ? "written" : "read", thread);
        Cell& cell = cell_of(at);
        std::string what = problem(cell, now, reads, writes, shared);
        (writes ? cell.write : cell.read) = now;
        if (what.empty()) continue;
        return what + (shared ? fmt::format(", in {} at byte {}", slot_name(*slot), offset - slot->offset)
                              : fmt::format(", in global memory at {:#x}", at));
    }
    return {};
}

}  // namespace engine::simt
