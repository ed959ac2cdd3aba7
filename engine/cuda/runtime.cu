#include "engine/cuda/check.h"
#include "engine/cuda/runtime.h"
#include "engine/cuda/staging.h"

#include <utility>

#include <cuda_runtime.h>

namespace engine::cuda {

namespace {
thread_local std::function<void()> wait_check;
}

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
void* allocate_locked(std::size_t bytes) {
    void* memory = nullptr;
    check(cudaMallocHost(&memory, bytes), "cudaMallocHost");
    return memory;
}
void release_locked(void* memory) { cudaFreeHost(memory); }
void copy_to_device(void* to, const void* from, std::size_t bytes, void* stream) {
    if (bytes <= kStagedBytes) return copy_staged(to, from, bytes, stream);
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream)), "copy to device");
    synchronize(stream);
}
void copy_to_host(void* to, const void* from, std::size_t bytes, void* stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, static_cast<cudaStream_t>(stream)), "copy to host");
    synchronize(stream);
}
void begin_copy_to_host(void* to, const void* from, std::size_t bytes, void* stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, static_cast<cudaStream_t>(stream)), "copy to host");
}
void copy_on_device(void* to, const void* from, std::size_t bytes, void* stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(stream)), "copy on device");
}
void copy_rows_on_device(void* to, std::size_t to_step, const void* from, std::size_t from_step, std::size_t row_bytes, std::size_t rows,
                         void* stream) {
    check(cudaMemcpy2DAsync(to, to_step, from, from_step, row_bytes, rows, cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(stream)),
          "copy of rows on device");
}
void fill_bytes(void* memory, int value, std::size_t bytes, void* stream) {
    check(cudaMemsetAsync(memory, value, bytes, static_cast<cudaStream_t>(stream)), "memset");
}
void synchronize(void* stream) {
    cudaError_t status = cudaStreamSynchronize(static_cast<cudaStream_t>(stream));
    if (wait_check) wait_check();
    check(status, "cudaStreamSynchronize");
}
void synchronize_device() { check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }
void set_wait_check(std::function<void()> check) { wait_check = std::move(check); }
void* make_stream() {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    return stream;
}
void destroy_stream(void* stream) { cudaStreamDestroy(static_cast<cudaStream_t>(stream)); }
void follow(void* stream, void* other) {
    void* event = make_event();
    record(event, other);
    check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event), 0), "cudaStreamWaitEvent");
    destroy_event(event);  // once it is done
}
void* make_event() {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    return event;
}
void record(void* event, void* stream) {
    check(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)), "cudaEventRecord");
}
bool is_done(void* event) { return cudaEventQuery(static_cast<cudaEvent_t>(event)) != cudaErrorNotReady; }
void wait(void* event) {
    cudaError_t status = cudaEventSynchronize(static_cast<cudaEvent_t>(event));
    if (wait_check) wait_check();
    check(status, "cudaEventSynchronize");
}
void destroy_event(void* event) { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }
std::string bus_id(int index) {
    char text[32] = "";
    check(cudaDeviceGetPCIBusId(text, sizeof text, index), "cudaDeviceGetPCIBusId");
    return text;
}

}  // namespace engine::cuda
