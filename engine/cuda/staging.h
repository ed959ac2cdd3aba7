#pragma once
#include <cstddef>

namespace engine::cuda {

// Bytes of a copy that go through page-locked memory of this thread.
inline constexpr std::size_t kStagedBytes = std::size_t{1} << 20;

// Copies to the device of this thread without waiting for the stream: `from` may change as soon as this returns. Pieces of page-locked
// memory are taken in turn; one whose last copy is still to be done is waited for.
void copy_staged(void* to, const void* from, std::size_t bytes, void* stream);

}  // namespace engine::cuda
