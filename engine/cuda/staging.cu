#include "engine/cuda/check.h"
#include "engine/cuda/runtime.h"
#include "engine/cuda/staging.h"

#include <cstring>
#include <utility>

#include <cuda_runtime.h>

namespace engine::cuda {
namespace {

struct Piece {
    void* memory = nullptr;
    void* copied = nullptr;  // event
    int device = -1;

    Piece() = default;
    Piece(const Piece&) = delete;
    Piece& operator=(const Piece&) = delete;
    ~Piece() { release(); }

    // For the device that the thread speaks to now: an event belongs to one.
    void take(int now) {
        if (device == now) return wait(copied);
        release();
        copied = make_event();
        memory = allocate_locked(kStagedBytes);
        device = now;
    }
    void release() {
        if (copied != nullptr) destroy_event(std::exchange(copied, nullptr));
        if (memory != nullptr) release_locked(std::exchange(memory, nullptr));
        device = -1;
    }
};

constexpr int kPieces = 8;
thread_local Piece pieces[kPieces];
thread_local int next_piece = 0;

}  // namespace

void copy_staged(void* to, const void* from, std::size_t bytes, void* stream) {
    int device = 0;
    check(cudaGetDevice(&device), "cudaGetDevice");
    Piece& piece = pieces[std::exchange(next_piece, (next_piece + 1) % kPieces)];
    piece.take(device);
    std::memcpy(piece.memory, from, bytes);
    check(cudaMemcpyAsync(to, piece.memory, bytes, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream)), "copy to device");
    record(piece.copied, stream);
}

}  // namespace engine::cuda
