#pragma once
// The CUDA runtime without its headers: what host code of every build may call. Without CUDA: no devices, and every other call throws.
#include "engine/base/device_tags.h"

#include <cstddef>
#include <functional>
#include <string>

namespace engine::cuda {

int device_count();
void set_device(int index);
void* allocate(std::size_t bytes);
void release(void* memory);
// Page-locked memory of the host: copies from it and to it need not be waited for.
void* allocate_locked(std::size_t bytes);
void release_locked(void* memory);
// Up to 1 MiB the bytes are taken along at once (engine/cuda/staging.h); for more the host waits.
void copy_to_device(void* to, const void* from, std::size_t bytes, void* stream);
// The host waits for all that is in the stream.
void copy_to_host(void* to, const void* from, std::size_t bytes, void* stream);
// Into page-locked memory: there once the stream has come so far.
void begin_copy_to_host(void* to, const void* from, std::size_t bytes, void* stream);
void copy_on_device(void* to, const void* from, std::size_t bytes, void* stream);
// Rows of `row_bytes` that stand `to_step` and `from_step` bytes apart.
void copy_rows_on_device(void* to, std::size_t to_step, const void* from, std::size_t from_step, std::size_t row_bytes, std::size_t rows,
                         void* stream);
void fill_bytes(void* memory, int value, std::size_t bytes, void* stream);
void synchronize(void* stream);
// All streams of this thread's device.
void synchronize_device();
// Asked by this thread after every wait for a stream; may throw, where what the stream held was given up. Empty: nothing.
void set_wait_check(std::function<void()> check);
void* make_stream();
void destroy_stream(void* stream);
// What `stream` is given from now on runs after all that `other` has been given so far.
void follow(void* stream, void* other);
// A place in a stream that can be asked for from any thread: the work before it is done, or has failed.
void* make_event();
void record(void* event, void* stream);
bool is_done(void* event);
// As synchronize, for what stands before the event alone.
void wait(void* event);
void destroy_event(void* event);
// What tells a machine's GPUs apart, whatever their order is: "0000:3b:00.0".
std::string bus_id(int index);

}  // namespace engine::cuda
