#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace engine::simt {

// The shared memory of the block that is running. Each slot begins as 0xff bytes (NaN in every float, −1 in integers) and ends to the
// byte: behind it lies a red zone, poisoned for AddressSanitizer, checked when the block ends without it.
class Arena {
  public:
    struct Slot {
        const void* key;
        const char* type;  // __PRETTY_FUNCTION__ of shared_memory<T>
        std::size_t offset;
        std::size_t bytes;
    };

    Arena();
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    // Forgets the last block's slots and makes a dynamic one of that many bytes.
    void begin_block(std::size_t dynamic_bytes);
    void* slot(const void* key, const char* type, std::size_t bytes, std::size_t alignment);
    void* dynamic_slot(const char* type, std::size_t bytes);
    // Empty, or which slot somebody wrote behind.
    std::string overrun() const;

    // The slot that holds the byte `offset` of the arena; null if none does.
    const Slot* find(std::size_t offset) const;
    bool holds(const void* address) const { return address >= memory_ && address < memory_ + kBytes; }
    std::size_t offset_of(const void* address) const { return static_cast<std::size_t>(static_cast<const std::byte*>(address) - memory_); }

    static constexpr std::size_t kBytes = 384 << 10;
    static constexpr std::size_t kStaticLimit = 48 << 10;
    static constexpr std::size_t kDynamicLimit = 227 << 10;

  private:
    void* open(const void* key, const char* type, std::size_t bytes, std::size_t alignment);

    std::byte* memory_;
    std::vector<Slot> slots_;
    std::size_t used_ = 0;          // bytes with slots and red zones
    std::size_t static_bytes_ = 0;  // sum of the static slots
};

// "shared_memory<Tile>" of "T& engine::on_simt::shared_memory() [with T = Tile]".
std::string slot_name(const Arena::Slot& slot);

}  // namespace engine::simt
