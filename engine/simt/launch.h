#pragma once
// The same names as engine/cuda/launch.h has for nvcc.
#include "engine/simt/cuda_host.h"

#include <type_traits>

namespace engine::simt {
// Its address names the slot of a T.
template <class T>
inline constexpr char key_of = 0;
}  // namespace engine::simt

namespace engine::inline on_simt {

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, void* /*stream*/, A&&... args) {
    static_assert(sizeof...(P) == sizeof...(A), "a kernel takes all its arguments");
    auto body = [&] { kernel(static_cast<P>(args)...); };
    simt::run_grid(
        name, grid, block, shared_bytes, [](void* context) { (*static_cast<decltype(body)*>(context))(); }, &body);
}

// The block's static shared memory of type T; two uses of one T in a kernel are the same memory.
template <class T>
T& shared_memory() {
    static_assert(std::is_trivially_default_constructible_v<T>, "shared memory is not initialised");
    return *static_cast<T*>(simt::shared_slot(&simt::key_of<T>, __PRETTY_FUNCTION__, sizeof(T), alignof(T)));
}
template <class T>
T& dynamic_shared() {
    return *static_cast<T*>(simt::dynamic_slot(__PRETTY_FUNCTION__, sizeof(T)));
}

}  // namespace engine::inline on_simt
