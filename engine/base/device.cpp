#include "engine/base/device.h"

#include "engine/base/error.h"
#include "engine/cuda/runtime.h"

#include <charconv>

namespace engine {

Device parse_device(std::string_view text) {
    if (text == "cpu") return {DeviceKind::cpu, 0};
    if (text == "simt") return {DeviceKind::simt, 0};
    int index = -1;
    bool indexed = text.starts_with("cuda:") && text.size() > 5 && text.size() < 8;
    if (indexed) {
        auto [end, error] = std::from_chars(text.data() + 5, text.data() + text.size(), index);
        indexed = error == std::errc() && end == text.data() + text.size() && index >= 0;
    }
    expect(text == "cuda" || indexed, "device", "no such device: got \"{}\", expected cpu, simt, cuda or cuda:N", text);
    Device device{DeviceKind::cuda, indexed ? index : 0};
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
