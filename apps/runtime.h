#pragma once
#include "engine/base/exec.h"

#include <string>

namespace apps {

// A device made ready for a program: its pool, its stream, the CPU's threads.
class Runtime {
  public:
    // `threads` 0: one a core. Throws where the device is not here.
    Runtime(const std::string& device, engine::Size threads);
    ~Runtime();
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    // A context of its own for a rank; communicator null for the only one.
    engine::Exec exec(engine::Communicator* communicator = nullptr) const;

  private:
    engine::Exec exec_;
};

}  // namespace apps
