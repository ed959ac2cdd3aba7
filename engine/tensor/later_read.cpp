#include "engine/tensor/later_read.h"

#include "engine/cuda/runtime.h"
#include "engine/tensor/transfer.h"

#include <cstring>
#include <utility>

namespace engine {

LaterRead::~LaterRead() {
    if (host_ != nullptr) cuda::release_locked(host_);
    if (arrived_ != nullptr) cuda::destroy_event(arrived_);
}

void LaterRead::begin(const Exec& exec, const Tensor& values) {
    expect(values.dtype() == Dtype::i32 && values.is_packed(), "later_read", "values must be int32 without padding: got {} {}",
           dtype_name(values.dtype()), values.shape().text());
    exec_ = exec;
    values_ = values;
    if (exec.device.kind != DeviceKind::cuda) {
        values_ = packed_tensor(exec, values.shape(), values.dtype());
        return copy(exec, values_, values);
    }
    std::size_t bytes = static_cast<std::size_t>(values.shape().elements()) * sizeof(std::int32_t);
    if (arrived_ == nullptr) arrived_ = cuda::make_event();
    if (bytes > room_) {
        if (host_ != nullptr) cuda::release_locked(std::exchange(host_, nullptr));
        host_ = cuda::allocate_locked(bytes);
        room_ = bytes;
    }
    cuda::begin_copy_to_host(host_, values.address(), bytes, exec.stream);
    cuda::record(arrived_, exec.stream);
}

std::vector<std::int32_t> LaterRead::end() {
    Tensor values = std::exchange(values_, {});
    if (exec_.device.kind != DeviceKind::cuda) return to_host<std::int32_t>(exec_, values);
    std::vector<std::int32_t> result(static_cast<std::size_t>(values.shape().elements()));
    cuda::wait(arrived_);
    std::memcpy(result.data(), host_, result.size() * sizeof(std::int32_t));
    return result;
}

}  // namespace engine
