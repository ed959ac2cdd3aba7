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
void copy_to_device(void* to, const void* from, std::size_t bytes, void* stream);
void copy_to_host(void* to, const void* from, std::size_t bytes, void* stream);
void copy_on_device(void* to, const void* from, std::size_t bytes, void* stream);
// Rows of `row_bytes` that stand `to_step` and `from_step` bytes apart.
void copy_rows_on_device(void* to, std::size_t to_step, const void* from, std::size_t from_step, std::size_t row_bytes, std::size_t rows,
                         void* stream);
void fill_bytes(void* memory, int value, std::size_t bytes, void* stream);
void synchronize(void* stream);
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
void destroy_event(void* event);
// What tells a machine's GPUs apart, whatever their order is: "0000:3b:00.0".
std::string bus_id(int index);

}  // namespace engine::cuda
