#pragma once
// The CUDA runtime without its headers: what host code of every build may call. Without CUDA: no devices, and every other call throws.
#include "engine/base/device_tags.h"

#include <cstddef>

namespace engine::cuda {

int device_count();
void set_device(int index);
void* allocate(std::size_t bytes);
void release(void* memory);
void copy_to_device(void* to, const void* from, std::size_t bytes, void* stream);
void copy_to_host(void* to, const void* from, std::size_t bytes, void* stream);
void copy_on_device(void* to, const void* from, std::size_t bytes, void* stream);
void fill_bytes(void* memory, int value, std::size_t bytes, void* stream);
void synchronize(void* stream);
void* make_stream();
void destroy_stream(void* stream);

}  // namespace engine::cuda
