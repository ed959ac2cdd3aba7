// What code compiled with -fsanitize=thread calls at each access. We link no ThreadSanitizer: these definitions feed our own detector.
// GCC does not compile with -fsanitize=thread and address at once, and a program of the real ThreadSanitizer has its own hooks.
#if !defined(__SANITIZE_THREAD__)
#include "engine/simt/worker.h"

#include <cstddef>
#include <cstdint>

namespace {

using engine::simt::Access;

inline void note(const volatile void* address, std::size_t bytes, Access access, const void* code) {
    if (engine::simt::current != nullptr) {
        engine::simt::current->worker->note_access(const_cast<const void*>(address), bytes, access, code);
    }
}

}  // namespace

// NOLINTBEGIN
#define NOTE(address, bytes, access) note(address, bytes, Access::access, __builtin_return_address(0))
#define PLAIN(bytes)                                                       \
    void __tsan_read##bytes(void* a) { NOTE(a, bytes, read); }             \
    void __tsan_write##bytes(void* a) { NOTE(a, bytes, write); }           \
    void __tsan_unaligned_read##bytes(void* a) { NOTE(a, bytes, read); }   \
    void __tsan_unaligned_write##bytes(void* a) { NOTE(a, bytes, write); } \
    void __tsan_volatile_read##bytes(void* a) { NOTE(a, bytes, read); }    \
    void __tsan_volatile_write##bytes(void* a) { NOTE(a, bytes, write); }

#define FETCH(bits, T, name, builtin)                               \
    T __tsan_atomic##bits##_##name(volatile T* a, T value, int) {   \
        NOTE(a, sizeof(T), atomic);                                 \
        return builtin(const_cast<T*>(a), value, __ATOMIC_SEQ_CST); \
    }
#define EXCHANGE_IF(bits, T, name)                                                                                         \
    int __tsan_atomic##bits##_##name(volatile T* a, T* expected, T value, int, int) {                                      \
        NOTE(a, sizeof(T), atomic);                                                                                        \
        return __atomic_compare_exchange_n(const_cast<T*>(a), expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
    }
#define ATOMIC(bits, T)                                                    \
    T __tsan_atomic##bits##_load(const volatile T* a, int) {               \
        NOTE(a, sizeof(T), atomic);                                        \
        return __atomic_load_n(const_cast<const T*>(a), __ATOMIC_SEQ_CST); \
    }                                                                      \
    void __tsan_atomic##bits##_store(volatile T* a, T value, int) {        \
        NOTE(a, sizeof(T), atomic);                                        \
        __atomic_store_n(const_cast<T*>(a), value, __ATOMIC_SEQ_CST);      \
    }                                                                      \
    FETCH(bits, T, exchange, __atomic_exchange_n)                          \
    FETCH(bits, T, fetch_add, __atomic_fetch_add)                          \
    FETCH(bits, T, fetch_sub, __atomic_fetch_sub)                          \
    FETCH(bits, T, fetch_or, __atomic_fetch_or)                            \
    FETCH(bits, T, fetch_and, __atomic_fetch_and)                          \
    EXCHANGE_IF(bits, T, compare_exchange_strong)                          \
    EXCHANGE_IF(bits, T, compare_exchange_weak)

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}
void __tsan_read_range(void* a, std::size_t bytes) { NOTE(a, bytes, read); }
void __tsan_write_range(void* a, std::size_t bytes) { NOTE(a, bytes, write); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)
ATOMIC(8, std::uint8_t)
ATOMIC(16, std::uint16_t)
ATOMIC(32, std::uint32_t)
ATOMIC(64, std::uint64_t)
}
// NOLINTEND
#endif
