#include "apps/runtime.h"

#include "engine/base/threads.h"
#include "engine/cuda/runtime.h"
#include "engine/memory/pool.h"

#include <algorithm>
#include <thread>

namespace apps {

using namespace engine;

Runtime::Runtime(const std::string& device, Size threads) {
    exec_.device = parse_device(device);
    set_threads(threads > 0 ? static_cast<int>(threads) : std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
    if (exec_.device.kind == DeviceKind::cuda) {
        cuda::set_device(exec_.device.index);
        exec_.stream = cuda::make_stream();
    }
    exec_.pool = &pool_of(exec_.device);
}

Runtime::~Runtime() {
    if (exec_.stream != nullptr) cuda::destroy_stream(exec_.stream);
}

Exec Runtime::exec(Communicator* communicator) const {
    Exec exec = exec_;
    exec.communicator = communicator;
    return exec;
}

}  // namespace apps
