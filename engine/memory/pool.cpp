#include "engine/memory/pool.h"

#include "engine/base/error.h"
#include "engine/cuda/runtime.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POOL_POISON(address, size) ASAN_POISON_MEMORY_REGION(address, size)
#define POOL_UNPOISON(address, size) ASAN_UNPOISON_MEMORY_REGION(address, size)
#else
#define POOL_POISON(address, size) ((void)0)
#define POOL_UNPOISON(address, size) ((void)0)
#endif

namespace engine {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kSegmentBytes = std::size_t{8} << 20;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

std::size_t rounded(std::size_t bytes) {
    // One spare line under ASan, poisoned, so that a write past a block's end is seen.
#if defined(__SANITIZE_ADDRESS__)
    bytes += kAlignment;
#endif
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Memory that the kernel may back with pages of 2 MiB: products walk many rows at once, and with small pages they wait for the page table
// (docs/results has the gain). Null when there is none.
void* map_host(std::size_t size, int protection) {
    std::size_t room = size + kHugePageBytes;
    void* mapped = mmap(nullptr, room, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    auto start = reinterpret_cast<std::uintptr_t>(mapped), aligned = (start + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
    if (aligned > start) munmap(mapped, aligned - start);
    if (std::size_t rest = start + room - (aligned + size); rest > 0) munmap(reinterpret_cast<void*>(aligned + size), rest);
    madvise(reinterpret_cast<void*>(aligned), size, MADV_HUGEPAGE);
    return reinterpret_cast<void*>(aligned);
}

}  // namespace

Pool::Pool(Device device) : device_(device) {
    if (const char* fill = std::getenv("MOEGRAD_POOL_FILL"); fill != nullptr && *fill != '\0') fill_ = std::atoi(fill) & 255;
}

Pool::~Pool() {
    for (Segment& segment : segments_) {
        if (device_.kind != DeviceKind::cuda) {
            POOL_UNPOISON(segment.base, segment.size);
            munmap(segment.base, segment.size);
        } else {
            cuda::release(segment.base);
        }
    }
}

void Pool::add_segment(std::size_t at_least) {
    std::size_t size = (std::max(at_least, kSegmentBytes) + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
    void* base = nullptr;
    if (device_.kind != DeviceKind::cuda) {
        base = map_host(size, device_.is_dry() ? PROT_NONE : PROT_READ | PROT_WRITE);
        expect(base != nullptr, "pool",
               "out of memory: asked for {} bytes beside {} in use; hint: a smaller train.batch, or train.accumulate", size, in_use_);
    } else {
        base = cuda::allocate(size);
    }
    POOL_POISON(base, size);
    reserved_ += size;
    segments_.push_back({static_cast<char*>(base), size, {}});
    insert_free(segments_.size() - 1, 0, size);
}

void Pool::insert_free(std::size_t segment, std::size_t offset, std::size_t size) {
    auto& free = segments_[segment].free;
    auto next = free.lower_bound(offset);
    if (next != free.end() && offset + size == next->first) {
        size += next->second;
        free_.erase({next->second, segment, next->first});
        next = free.erase(next);
    }
    if (next != free.begin()) {
        auto previous = std::prev(next);
        if (previous->first + previous->second == offset) {
            offset = previous->first;
            size += previous->second;
            free_.erase({previous->second, segment, previous->first});
            free.erase(previous);
        }
    }
    free[offset] = size;
    free_.insert({size, segment, offset});
}

void* Pool::take(std::size_t bytes) {
    if (bytes == 0) return nullptr;
    std::lock_guard lock(mutex_);
    std::size_t size = rounded(bytes);
    auto place = free_.lower_bound({size, 0, 0});
    if (place == free_.end()) {
        add_segment(size);
        place = free_.lower_bound({size, 0, 0});
    }
    Place found = *place;
    free_.erase(place);
    Segment& segment = segments_[found.segment];
    segment.free.erase(found.offset);
    if (found.size > size) {
        segment.free[found.offset + size] = found.size - size;
        free_.insert({found.size - size, found.segment, found.offset + size});
    }
    in_use_ += size;
    peak_ = std::max(peak_, in_use_);
    char* memory = segment.base + found.offset;
    log_.taken(memory, size);
    POOL_UNPOISON(memory, bytes);
    if (fill_ >= 0 && !device_.is_dry()) {
        if (device_.on_host()) {
            std::memset(memory, fill_, bytes);
        } else {
            // Whatever the stream that had the memory, or that will have it.
            cuda::synchronize_device();
            cuda::fill_bytes(memory, fill_, bytes, nullptr);
            cuda::synchronize_device();
        }
    }
    return memory;
}

void Pool::give_back(void* memory, std::size_t bytes) {
    if (memory == nullptr) return;
    std::lock_guard lock(mutex_);
    std::size_t size = rounded(bytes);
    char* address = static_cast<char*>(memory);
    POOL_POISON(address, size);
    log_.given_back(memory);
    in_use_ -= size;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        if (address >= segments_[i].base && address < segments_[i].base + segments_[i].size) {
            insert_free(i, static_cast<std::size_t>(address - segments_[i].base), size);
            return;
        }
    }
}

Pool& pool_of(Device device) {
    static std::mutex mutex;
    static std::map<std::pair<int, int>, std::unique_ptr<Pool>> pools;
    std::lock_guard lock(mutex);
    auto& pool = pools[{static_cast<int>(device.kind), device.index}];
    if (!pool) pool = std::make_unique<Pool>(device);
    return *pool;
}

}  // namespace engine
