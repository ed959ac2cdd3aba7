#pragma once
#include "engine/tensor/tensor.h"

#include <vector>

namespace engine {

// Values of a device that the host asks for now and looks at later. It then waits for what stood in the stream before them and for nothing
// that came after: a GPU never runs out of work.
class LaterRead {
  public:
    LaterRead() = default;
    ~LaterRead();
    LaterRead(const LaterRead&) = delete;
    LaterRead& operator=(const LaterRead&) = delete;

    // Sends int32 values without padding on their way, as they are when the stream has come here. What was asked for before is forgotten.
    void begin(const Exec& exec, const Tensor& values);
    // Once for each begin.
    std::vector<std::int32_t> end();

  private:
    Exec exec_;
    Tensor values_;
    void* host_ = nullptr;  // page-locked, on cuda
    std::size_t room_ = 0;  // bytes of it
    void* arrived_ = nullptr;
};

}  // namespace engine
