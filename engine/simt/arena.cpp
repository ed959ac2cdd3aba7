#include "engine/simt/arena.h"

#include "engine/base/error.h"

#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace engine::simt {
namespace {

constexpr std::size_t kAlignment = 128;
constexpr std::size_t kRedZone = 64;
constexpr std::uint32_t kRedWord = 0xffc05ad0;  // a NaN too, but not the fill
const char kDynamicKey = 0;

#ifdef __SANITIZE_ADDRESS__
constexpr bool kAddressSanitizer = true;
void poison(void* memory, std::size_t bytes) { __asan_poison_memory_region(memory, bytes); }
void unpoison(void* memory, std::size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
constexpr bool kAddressSanitizer = false;
void poison(void*, std::size_t) {}
void unpoison(void*, std::size_t) {}
#endif

std::size_t round_up(std::size_t value, std::size_t to) { return (value + to - 1) / to * to; }

}  // namespace

Arena::Arena() : memory_(static_cast<std::byte*>(::operator new(kBytes, std::align_val_t(kAlignment)))) { poison(memory_, kBytes); }
Arena::~Arena() {
    unpoison(memory_, kBytes);
    ::operator delete(memory_, std::align_val_t(kAlignment));
}

void Arena::begin_block(std::size_t dynamic_bytes) {
    poison(memory_, used_);
    slots_.clear();
    used_ = static_bytes_ = 0;
    if (dynamic_bytes > 0) open(&kDynamicKey, "dynamic_shared()", dynamic_bytes, kAlignment);
}

void* Arena::slot(const void* key, const char* type, std::size_t bytes, std::size_t alignment) {
    for (const Slot& slot : slots_) {
        if (slot.key == key) return memory_ + slot.offset;
    }
    static_bytes_ += bytes;
    expect(static_bytes_ <= kStaticLimit, "simt",
           "static shared memory of a block: got {} bytes, expected at most {}; hint: dynamic_shared()", static_bytes_, kStaticLimit);
    return open(key, type, bytes, alignment);
}

void* Arena::dynamic_slot(const char* type, std::size_t bytes) {
    std::size_t there = slots_.empty() || slots_[0].key != &kDynamicKey ? 0 : slots_[0].bytes;
    expect(bytes <= there, "simt", "dynamic shared memory: {} takes {} bytes, launch() was told {}", type, bytes, there);
    return memory_ + slots_[0].offset;
}

// A red zone lies behind each slot. AddressSanitizer needs every slot to begin at a multiple of 8.
void* Arena::open(const void* key, const char* type, std::size_t bytes, std::size_t alignment) {
    std::size_t offset = round_up(used_, alignment < 16 ? 16 : alignment);
    std::byte* memory = memory_ + offset;
    unpoison(memory, bytes + kRedZone);
    memset(memory, 0xff, bytes);
    for (std::size_t i = 0; i < kRedZone; ++i) memory[bytes + i] = static_cast<std::byte>(kRedWord >> i % 4 * 8);
    poison(memory + bytes, kRedZone);
    slots_.push_back({key, type, offset, bytes});
    used_ = offset + bytes + kRedZone;
    return memory;
}

std::string Arena::overrun() const {
    if constexpr (kAddressSanitizer) return {};
    for (const Slot& slot : slots_) {
        const std::byte* zone = memory_ + slot.offset + slot.bytes;
        for (std::size_t i = 0; i < kRedZone; ++i) {
            if (zone[i] != static_cast<std::byte>(kRedWord >> i % 4 * 8)) {
                return fmt::format("shared memory is written out of bounds: {}, {} bytes, at byte {}", slot_name(slot), slot.bytes,
                                   slot.bytes + i);
            }
        }
    }
    return {};
}

const Arena::Slot* Arena::find(std::size_t offset) const {
    for (const Slot& slot : slots_) {
        if (offset >= slot.offset && offset < slot.offset + slot.bytes) return &slot;
    }
    return nullptr;
}

std::string slot_name(const Arena::Slot& slot) {
    constexpr std::string_view kWith = "[with T = ";
    std::string_view type = slot.type;
    std::size_t begin = type.find(kWith);
    if (begin == std::string_view::npos) return slot.type;
    return fmt::format("shared_memory<{}>()", type.substr(begin + kWith.size(), type.size() - begin - kWith.size() - 1));
}

}  // namespace engine::simt
