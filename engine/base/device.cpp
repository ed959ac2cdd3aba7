#include "engine/base/device.h"

#include "engine/base/error.h"
#include "engine/cuda/runtime.h"

namespace engine {

Device parse_device(std::string_view text) {
    if (text == "cpu") return {DeviceKind::cpu, 0};
    if (text == "simt") return {DeviceKind::simt, 0};
    bool indexed = text.starts_with("cuda:") && text.size() == 6 && text[5] >= '0' && text[5] <= '9';
    expect(text == "cuda" || indexed, "device", "no such device: got \"{}\", expected cpu, simt, cuda or cuda:N", text);
    Device device{DeviceKind::cuda, indexed ? text[5] - '0' : 0};
    expect(cuda::device_count() > device.index, "device", "{} is not here: {} CUDA devices found; hint: {}", text, cuda::device_count(),
           kCudaBuilt ? "is the driver loaded?" : "build with the preset cuda-release");
    return device;
}

std::string device_name(Device device) {
    switch (device.kind) {
        case DeviceKind::cpu:
            return "cpu";
        case DeviceKind::simt:
            return "simt";
        case DeviceKind::cuda:
            return fmt::format("cuda:{}", device.index);
        case DeviceKind::dry:
            return "dry";
    }
    return "unknown";
}

}  // namespace engine
