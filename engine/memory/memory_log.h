#pragma once
#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace engine {

// Names the holder of memory taken while it lives, like "blocks.3.ffn"; the innermost name counts. One pointer write when no log is kept.
class MemoryScope {
  public:
    explicit MemoryScope(const char* name) : previous_(current_) { current_ = name; }
    ~MemoryScope() { current_ = previous_; }
    MemoryScope(const MemoryScope&) = delete;
    MemoryScope& operator=(const MemoryScope&) = delete;
    static const char* current() { return current_ != nullptr ? current_ : "other"; }

  private:
    static inline thread_local const char* current_ = nullptr;
    const char* previous_;
};

// Who held how much when the pool was fullest. Records only while enabled.
class MemoryLog {
  public:
    struct Holder {
        std::string name;
        std::size_t bytes;
    };
    void enable(bool on);
    void taken(void* memory, std::size_t bytes);
    void given_back(void* memory);
    // The holders at the fullest moment since enable(true), largest first.
    std::vector<Holder> peak_holders() const;

  private:
    struct Event {
        const char* name;
        std::ptrdiff_t bytes;
    };
    bool enabled_ = false;
    std::vector<Event> events_;
    std::unordered_map<void*, Event> live_;
};

}  // namespace engine
