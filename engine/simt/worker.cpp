#include "engine/simt/worker.h"

#include "engine/base/error.h"
#include "engine/simt/log.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include <dlfcn.h>

namespace engine::simt {

constinit thread_local Lane* current = nullptr;
constinit thread_local BlockPosition position{};

namespace {

// Thrown in a lane whose block failed elsewhere, to unwind its stack.
struct Abandoned {};

std::vector<unsigned> first_indices(std::size_t count) {
    std::vector<unsigned> indices(count);
    for (std::size_t i = 0; i < count; ++i) indices[i] = static_cast<unsigned>(i);
    return indices;
}

std::uint64_t volume(dim3 size) { return std::uint64_t{size.x} * size.y * size.z; }

uint3 unravel(std::uint64_t linear, dim3 size) {
    return {static_cast<unsigned>(linear % size.x), static_cast<unsigned>(linear / size.x % size.y),
            static_cast<unsigned>(linear / size.x / size.y)};
}

bool same_place(const Meeting& a, const Meeting& b) { return a.site.line == b.site.line && std::string_view(a.name) == b.name; }

// "0-3, 7" of 0 1 2 3 7.
std::string ranges(const std::vector<unsigned>& numbers) {
    std::string text;
    for (std::size_t first = 0, next; first < numbers.size(); first = next) {
        for (next = first + 1; next < numbers.size() && numbers[next] == numbers[next - 1] + 1;) ++next;
        if (first > 0) text += ", ";
        text += next == first + 1 ? fmt::format("{}", numbers[first]) : fmt::format("{}-{}", numbers[first], numbers[next - 1]);
    }
    return text;
}

unsigned bit(unsigned linear) { return 1u << linear % 32; }

}  // namespace

void Worker::run_grid(const char* kernel, dim3 grid, dim3 block, std::size_t dynamic_bytes, void (*body)(void*), void* context) {
    expect(current == nullptr, "simt", "kernel {} is launched by a kernel", kernel);
    if (volume(grid) == 0) return;
    expect(volume(block) >= 1 && volume(block) <= 1024 && block.z <= 64, "simt",
           "kernel {}: block of ({},{},{}) threads, expected 1 to 1024", kernel, block.x, block.y, block.z);
    expect(grid.x <= 0x7fffffffu && grid.y <= 0xffffu && grid.z <= 0xffffu, "simt",
           "kernel {}: grid of ({},{},{}) blocks, expected at most (2147483647,65535,65535)", kernel, grid.x, grid.y, grid.z);
    expect(dynamic_bytes <= Arena::kDynamicLimit, "simt", "kernel {}: {} bytes of dynamic shared memory, expected at most {}", kernel,
           dynamic_bytes, Arena::kDynamicLimit);
    note_launch(kernel);
    launch_ = {kernel, body, context, dynamic_bytes};
    shuffler_ = Shuffler(order(), launches_++);
    position.block_size = block;
    position.grid_size = grid;
    threads_.assign(volume(block), {});
    for (unsigned i = 0; i < threads_.size(); ++i) {
        threads_[i].linear = i;
        threads_[i].thread_index = unravel(i, block);
        threads_[i].worker = this;
    }
    std::vector<unsigned> blocks = first_indices(volume(grid));
    shuffler_.arrange(blocks);
    races_.begin_launch();
    for (unsigned index : blocks) {
        position.block_index = unravel(index, grid);
        races_.begin_block(index, static_cast<unsigned>(threads_.size()));
        run_block();
    }
}

void Worker::run_block() {
    for (Thread& thread : threads_) thread.state = State::fresh;
    start_order_.clear();
    std::vector<unsigned> warps = first_indices((threads_.size() + 31) / 32);
    shuffler_.arrange(warps);
    for (unsigned warp : warps) {
        std::vector<unsigned> lanes = first_indices(std::min<std::size_t>(32, threads_.size() - 32 * warp));
        shuffler_.arrange(lanes);
        for (unsigned lane : lanes) start_order_.push_back(32 * warp + lane);
    }
    warp_waiting_.assign(warps.size(), 0);
    ready_.clear();
    started_ = done_ = at_barrier_ = 0;
    race_.clear();
    arena_.begin_block(launch_.dynamic_bytes);
    try {
        while (done_ < threads_.size()) {
            if (!ready_.empty()) {
                unsigned next = ready_.back();
                ready_.pop_back();
                go_on(thread(next));
            } else if (started_ < threads_.size()) {
                if (idle_.empty()) {
                    carriers_.push_back(std::make_unique<Carrier>([this](Carrier& carrier) { start_threads(carrier); }));
                    idle_.push_back(carriers_.back().get());
                }
                Carrier* carrier = idle_.back();
                idle_.pop_back();
                carrier->resume();
            } else {
                report("threads disagree:" + who_waits());
            }
            current = nullptr;
            if (error_) std::rethrow_exception(error_);
        }
        if (std::string overrun = arena_.overrun(); !overrun.empty()) report(overrun);
    } catch (...) {
        abandon();
        throw;
    }
}

// On a carrier: begins threads until one of those that wait can go on. A thread that blocks takes the carrier with it.
void Worker::start_threads(Carrier& carrier) {
    while (started_ < threads_.size() && ready_.empty() && !error_ && !abandoning_) {
        Thread& self = thread(start_order_[started_++]);
        self.state = State::running;
        self.carrier = &carrier;
        current = &self;
        try {
            launch_.body(launch_.context);
            if (!race_.empty()) report(race_);
        } catch (const Abandoned&) {
        } catch (...) { error_ = std::current_exception(); }
        self.state = State::done;
        ++done_;
    }
    idle_.push_back(&carrier);
}

void Worker::go_on(Thread& thread) {
    thread.state = State::running;
    current = &thread;
    thread.carrier->resume();
}

void Worker::meet(Meeting& meeting) {
    if (!race_.empty()) report(race_);
    Thread& self = thread(current->linear);
    self.meeting = &meeting;
    self.state = State::waiting;
    meeting.whole_block ? meet_block(self) : meet_warp(self, meeting);
    self.carrier->yield();
    if (abandoning_) throw Abandoned{};
}

void Worker::meet_block(Thread& self) {
    if (++at_barrier_ < threads_.size()) return;
    for (const Thread& other : threads_) {
        if (!same_place(*other.meeting, *self.meeting)) report("threads disagree:" + who_waits());
    }
    at_barrier_ = 0;
    races_.block_barrier();
    release(first_indices(threads_.size()));
}

void Worker::meet_warp(Thread& self, Meeting& meeting) {
    unsigned warp = self.linear / 32, first = 32 * warp, mask = meeting.mask;
    std::size_t lanes = std::min<std::size_t>(32, threads_.size() - first);
    unsigned existing = lanes == 32 ? ~0u : (1u << lanes) - 1;
    auto site = [&] { return fmt::format("{} at {}:{}", meeting.name, meeting.site.file, meeting.site.line); };
    if (!(mask & bit(self.linear))) report(fmt::format("{}: mask {:#010x} lacks the caller, thread {}", site(), mask, self.linear));
    if (mask & ~existing)
        report(fmt::format("{}: mask {:#010x} names lanes that the block of {} threads lacks", site(), mask, threads_.size()));
    if (meeting.source >= 0 && !(mask & bit(static_cast<unsigned>(meeting.source)))) {
        report(
            fmt::format("{}: thread {} takes from lane {}, which mask {:#010x} does not name", site(), self.linear, meeting.source, mask));
    }
    warp_waiting_[warp] |= bit(self.linear);
    if ((warp_waiting_[warp] & mask) != mask) return;
    unsigned ballot = 0;
    std::vector<unsigned> group;
    for (unsigned left = mask; left != 0; left &= left - 1) {
        Thread& other = thread(first + static_cast<unsigned>(std::countr_zero(left)));
        if (other.meeting->mask != mask) return;
        if (!same_place(*other.meeting, meeting)) report("threads disagree:" + who_waits());
        if (other.meeting->value != 0) ballot |= bit(other.linear);
        group.push_back(other.linear);
    }
    for (unsigned index : group) {
        Meeting& other = *thread(index).meeting;
        other.ballot = ballot;
        if (other.source >= 0) other.result = thread(first + static_cast<unsigned>(other.source)).meeting->value;
    }
    warp_waiting_[warp] &= ~mask;
    if (meeting.name == std::string_view("__syncwarp") && mask == existing) races_.warp_barrier(warp);
    release(std::move(group));
}

// The group goes on before everybody else, in the order of the launch.
void Worker::release(std::vector<unsigned> group) {
    shuffler_.arrange(group);
    ready_.insert(ready_.end(), group.rbegin(), group.rend());
}

// Unwinds the lanes that wait, so that their destructors run and their stacks can be used again.
void Worker::abandon() {
    abandoning_ = true;
    for (Thread& thread : threads_) {
        if (thread.state == State::waiting) go_on(thread);
    }
    current = nullptr;
    abandoning_ = false;
    error_ = nullptr;
}

void Worker::report(const std::string& what) {
    uint3 b = position.block_index;
    fail("simt", "kernel {}, block ({},{},{}): {}", launch_.kernel, b.x, b.y, b.z, what);
}

std::string Worker::who_waits() const {
    std::vector<std::pair<std::string, std::vector<unsigned>>> groups;
    for (const Thread& thread : threads_) {
        std::string where = thread.state == State::done ? "ended" : "not begun";
        if (thread.state == State::waiting) {
            const Meeting& m = *thread.meeting;
            where = fmt::format("{} at {}:{}", m.name, m.site.file, m.site.line);
            if (!m.whole_block) where += fmt::format(", mask {:#010x}", m.mask);
        }
        auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == where; });
        if (group == groups.end()) group = groups.insert(group, {where, {}});
        group->second.push_back(thread.linear);
    }
    std::string lines;
    for (const auto& [where, threads] : groups) lines += fmt::format("\n  {}: {} threads: {}", where, threads.size(), ranges(threads));
    return lines;
}

void Worker::note_access(const void* address, std::size_t bytes, Access access, const void* code) {
    Thread& self = thread(current->linear);
    if (!race_.empty() || self.carrier->holds(address)) return;
    race_ = races_.check(arena_, address, bytes, access, self.linear);
    if (race_.empty()) return;
    Dl_info where{};
    dladdr(code, &where);
    auto offset = static_cast<const char*>(code) - static_cast<const char*>(where.dli_fbase);
    race_ += fmt::format(", code at {}+{:#x}", where.dli_fname != nullptr ? where.dli_fname : "", offset);
}

void meet(Meeting& meeting) { current->worker->meet(meeting); }
void* shared_slot(const void* key, const char* type, std::size_t bytes, std::size_t alignment) {
    return current->worker->arena().slot(key, type, bytes, alignment);
}
void* dynamic_slot(const char* type, std::size_t bytes) { return current->worker->arena().dynamic_slot(type, bytes); }

void run_grid(const char* kernel, dim3 grid, dim3 block, std::size_t dynamic_bytes, void (*body)(void*), void* context) {
    static thread_local Worker worker;
    worker.run_grid(kernel, grid, block, dynamic_bytes, body, context);
}

}  // namespace engine::simt
