#pragma once
#include "engine/base/device.h"
#include "engine/memory/memory_log.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace engine {

// Hands out memory of one device and takes it back; freed memory stays here and never returns to the system. Best fit with splitting and
// merging inside large segments, ties to the lowest address: the same requests give the same places every step.
// MOEGRAD_POOL_FILL=0..255 fills each block with that byte before it is handed out (a test knob: results must not depend on it).
class Pool {
  public:
    explicit Pool(Device device);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    Device device() const { return device_; }
    // Memory for `bytes`, aligned to 64. `bytes` = 0 gives a null pointer.
    void* take(std::size_t bytes);
    void give_back(void* memory, std::size_t bytes);

    std::size_t bytes_in_use() const { return in_use_; }
    std::size_t peak_bytes() const { return peak_; }
    // What the system gave: never less than peak_bytes().
    std::size_t bytes_reserved() const { return reserved_; }
    MemoryLog& log() { return log_; }

  private:
    struct Place {
        std::size_t size;
        std::size_t segment;
        std::size_t offset;
        auto operator<=>(const Place&) const = default;
    };
    struct Segment {
        char* base;
        std::size_t size;
        std::map<std::size_t, std::size_t> free;  // offset → size
    };
    void add_segment(std::size_t at_least);
    void insert_free(std::size_t segment, std::size_t offset, std::size_t size);

    Device device_;
    int fill_ = -1;
    std::vector<Segment> segments_;
    std::set<Place> free_;
    std::size_t in_use_ = 0, peak_ = 0, reserved_ = 0;
    MemoryLog log_;
    std::mutex mutex_;
};

// The process-wide pool of a device.
Pool& pool_of(Device device);

}  // namespace engine
