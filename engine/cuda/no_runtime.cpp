#include "engine/base/error.h"
#include "engine/cuda/runtime.h"

#ifndef MOEGRAD_CUDA
namespace engine::cuda {

namespace {
[[noreturn]] void missing() { fail("cuda", "this program was built without CUDA; hint: build with the preset cuda-release"); }
}  // namespace

int device_count() { return 0; }
void set_device(int) { missing(); }
void* allocate(std::size_t) { missing(); }
void release(void*) {}
void* allocate_locked(std::size_t) { missing(); }
void release_locked(void*) {}
void copy_to_device(void*, const void*, std::size_t, void*) { missing(); }
void copy_to_host(void*, const void*, std::size_t, void*) { missing(); }
void begin_copy_to_host(void*, const void*, std::size_t, void*) { missing(); }
void copy_on_device(void*, const void*, std::size_t, void*) { missing(); }
void copy_rows_on_device(void*, std::size_t, const void*, std::size_t, std::size_t, std::size_t, void*) { missing(); }
void fill_bytes(void*, int, std::size_t, void*) { missing(); }
void synchronize(void*) { missing(); }
void synchronize_device() { missing(); }
void set_wait_check(std::function<void()>) {}
void* make_stream() { missing(); }
void destroy_stream(void*) {}
void follow(void*, void*) { missing(); }
void* make_event() { missing(); }
void record(void*, void*) { missing(); }
bool is_done(void*) { missing(); }
void wait(void*) { missing(); }
void destroy_event(void*) {}
std::string bus_id(int) { missing(); }

}  // namespace engine::cuda
#endif
