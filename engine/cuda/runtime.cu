#include "engine/cuda/check.h"
#include "engine/cuda/runtime.h"

#include <cuda_runtime.h>

namespace engine::cuda {

// Without a driver every call fails; then there are no devices.
int device_count() {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}
void set_device(int index) { check(cudaSetDevice(index), "cudaSetDevice"); }
void* allocate(std::size_t bytes) {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes), "cudaMalloc");
    return memory;
}
void release(void* memory) { cudaFree(memory); }
void copy_to_device(void* to, const void* from, std::size_t bytes, void* stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream)), "copy to device");
    synchronize(stream);
}
void copy_to_host(void* to, const void* from, std::size_t bytes, void* stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, static_cast<cudaStream_t>(stream)), "copy to host");
    synchronize(stream);
}
void copy_on_device(void* to, const void* from, std::size_t bytes, void* stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(stream)), "copy on device");
}
void fill_bytes(void* memory, int value, std::size_t bytes, void* stream) {
    check(cudaMemsetAsync(memory, value, bytes, static_cast<cudaStream_t>(stream)), "memset");
}
void synchronize(void* stream) { check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "cudaStreamSynchronize"); }
void* make_stream() {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    return stream;
}
void destroy_stream(void* stream) { cudaStreamDestroy(static_cast<cudaStream_t>(stream)); }

}  // namespace engine::cuda
