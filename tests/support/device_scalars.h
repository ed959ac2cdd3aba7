#pragma once
#include "engine/base/visit.h"
#include "engine/kernels/step_scalars.h"
#include "engine/tensor/transfer.h"

#include <cstring>
#include <vector>

namespace tests {

// A step's scalars in the memory of the device, where kernels read them; Exec::scalars as long as this lives, if it had none.
class DeviceScalars {
  public:
    explicit DeviceScalars(engine::Exec& exec, const engine::StepScalars& values = {})
        : exec_(exec), memory_(exec, {sizeof(engine::StepScalars) / 8}, engine::Dtype::i64), is_used_(exec.scalars == nullptr) {
        write(values);
        if (is_used_) exec.scalars = address();
    }
    ~DeviceScalars() {
        if (is_used_) exec_.scalars = nullptr;
    }
    DeviceScalars(const DeviceScalars&) = delete;
    DeviceScalars& operator=(const DeviceScalars&) = delete;

    engine::StepScalars* address() const { return static_cast<engine::StepScalars*>(memory_.address()); }
    void write(const engine::StepScalars& values) const {
        engine::visit_device(exec_, [&]<class D>(D) { engine::kernels::write_scalars<D>(exec_, address(), values); });
    }
    engine::StepScalars read() const {
        std::vector<std::int64_t> words = engine::to_host<std::int64_t>(exec_, memory_);
        engine::StepScalars values;
        memcpy(static_cast<void*>(&values), words.data(), sizeof values);
        return values;
    }

  private:
    engine::Exec& exec_;
    engine::Tensor memory_;
    bool is_used_;
};

}  // namespace tests
