#pragma once
#include "engine/base/dtype.h"
#include "engine/base/here.h"

#include <cstdlib>
#include <new>

namespace engine::kernels::tile::inline ENGINE_DEVICE {

// A thread's own buffer for packed panels; it only grows, so a training step takes no memory for it after its first.
template <int kSlot, class S>
inline S* arena(Size count) {
    struct Buffer {
        void* memory = nullptr;
        std::size_t bytes = 0;
        ~Buffer() { std::free(memory); }
    };
    static thread_local Buffer buffer;
    std::size_t bytes = (static_cast<std::size_t>(count + 64) * sizeof(S) + 4095) / 4096 * 4096;
    if (bytes > buffer.bytes) {
        std::free(buffer.memory);
        buffer.memory = std::aligned_alloc(4096, bytes);
        buffer.bytes = buffer.memory != nullptr ? bytes : 0;
        if (buffer.memory == nullptr) throw std::bad_alloc();
    }
    return static_cast<S*>(buffer.memory);
}

}  // namespace engine::kernels::tile::inline ENGINE_DEVICE
