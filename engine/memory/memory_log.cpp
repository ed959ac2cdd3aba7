#include "engine/memory/memory_log.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace engine {

void MemoryLog::enable(bool on) {
    enabled_ = on;
    events_.clear();
    live_.clear();
}

void MemoryLog::taken(void* memory, std::size_t bytes) {
    if (!enabled_) return;
    Event event{MemoryScope::current(), static_cast<std::ptrdiff_t>(bytes)};
    events_.push_back(event);
    live_[memory] = event;
}

void MemoryLog::given_back(void* memory) {
    if (!enabled_) return;
    auto found = live_.find(memory);
    if (found == live_.end()) return;
    events_.push_back({found->second.name, -found->second.bytes});
    live_.erase(found);
}

std::vector<MemoryLog::Holder> MemoryLog::peak_holders() const {
    std::ptrdiff_t level = 0, peak = 0;
    std::size_t peak_end = 0;
    for (std::size_t i = 0; i < events_.size(); ++i) {
        level += events_[i].bytes;
        if (level > peak) {
            peak = level;
            peak_end = i + 1;
        }
    }
    std::map<std::string_view, std::ptrdiff_t> held;
    for (std::size_t i = 0; i < peak_end; ++i) held[events_[i].name] += events_[i].bytes;
    std::vector<Holder> holders;
    for (const auto& [name, bytes] : held) {
        if (bytes > 0) holders.push_back({std::string(name), static_cast<std::size_t>(bytes)});
    }
    std::stable_sort(holders.begin(), holders.end(), [](const Holder& a, const Holder& b) { return a.bytes > b.bytes; });
    return holders;
}

}  // namespace engine
