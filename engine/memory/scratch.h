#pragma once
#include "engine/base/exec.h"

namespace engine {

namespace scratch_memory {
void* take_scratch(Exec& exec, Size bytes);
void give_back_scratch(Exec& exec, void* memory, Size bytes);
}  // namespace scratch_memory

// Memory of the exec's device that a kernel needs while it runs: `count` elements, uninitialised. On a stream it is reused in order.
template <class T>
class Scratch {
  public:
    Scratch(Exec& exec, Size count)
        : exec_(&exec), count_(count), data_(static_cast<T*>(scratch_memory::take_scratch(exec, count * static_cast<Size>(sizeof(T))))) {}
    ~Scratch() { scratch_memory::give_back_scratch(*exec_, data_, count_ * static_cast<Size>(sizeof(T))); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    T* data() const { return data_; }
    operator T*() const { return data_; }

  private:
    Exec* exec_;
    Size count_;
    T* data_;
};

}  // namespace engine
