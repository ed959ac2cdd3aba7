#pragma once
// What kernel code, compiled by g++, asks of the runtime. No fmt and no Boost here: kernels reach this file.
#include "engine/simt/types.h"

namespace engine::simt {

class Worker;

// Where in a kernel something is called. Not std::source_location: clang-tidy 14 has none with this library.
struct Site {
    const char* file;
    unsigned line;
    static constexpr Site here(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) { return {file, line}; }
};

// What one thread of a block leaves for the others while it waits; it stands on that thread's own stack.
struct Meeting {
    const char* name;  // "__syncthreads", "__shfl_sync", …
    Site site{};
    bool whole_block = false;
    unsigned mask = 0;        // lanes of the warp that take part
    std::uint64_t value = 0;  // what the lane brings
    int source = -1;          // the lane whose value it takes away; −1: none
    std::uint64_t result = 0;
    unsigned ballot = 0;  // bit i: lane i brought a value other than 0
};

// One thread of the block that is running.
struct Lane {
    uint3 thread_index{};
    unsigned linear = 0;  // x + y·size_x + z·size_x·size_y
    Worker* worker = nullptr;
};

// The block that is running on this OS thread.
struct BlockPosition {
    uint3 block_index{};
    dim3 block_size;
    dim3 grid_size;
};

// The lane that is running on this OS thread; null outside kernels.
extern constinit thread_local Lane* current;
extern constinit thread_local BlockPosition position;

// Waits until all whom the meeting names have come; throws a report if they cannot.
void meet(Meeting& meeting);

// The block's memory under `key`: filled with 0xff bytes when the block begins, `bytes` long to the byte.
void* shared_slot(const void* key, const char* type, std::size_t bytes, std::size_t alignment);
// The block's dynamic shared memory, as long as launch() was told; a view of it takes `bytes`.
void* dynamic_slot(const char* type, std::size_t bytes);

// Runs body(context) once for every thread of every block, on this OS thread. Throws std::runtime_error with a report of what is wrong.
void run_grid(const char* kernel, dim3 grid, dim3 block, std::size_t dynamic_bytes, void (*body)(void*), void* context);

}  // namespace engine::simt
