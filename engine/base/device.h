#pragma once
#include <string>
#include <string_view>

namespace engine {

enum class DeviceKind { cpu, simt, cuda };

// Where a tensor lives. `simt` is host memory on which the CUDA kernels run thread by thread.
struct Device {
    DeviceKind kind = DeviceKind::cpu;
    int index = 0;
    bool operator==(const Device&) const = default;
    // Host code may dereference pointers of this device.
    bool on_host() const { return kind != DeviceKind::cuda; }
};

// "cpu", "simt", "cuda" or "cuda:1". Throws on anything else, and on cuda where none is built or found.
Device parse_device(std::string_view text);
std::string device_name(Device device);

}  // namespace engine
