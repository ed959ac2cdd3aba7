#pragma once
#include <string>
#include <string_view>

namespace engine {

enum class DeviceKind { cpu, simt, cuda, dry };

// Where a tensor lives. `simt` is host memory on which the CUDA kernels run thread by thread. `dry` has addresses but no memory, and runs
// no kernel: a step on it tells what a step would take (docs/adr/0003).
struct Device {
    DeviceKind kind = DeviceKind::cpu;
    int index = 0;
    bool operator==(const Device&) const = default;
    // Host code may dereference pointers of this device.
    bool on_host() const { return kind == DeviceKind::cpu || kind == DeviceKind::simt; }
    bool is_dry() const { return kind == DeviceKind::dry; }
};

// "cpu", "simt", "cuda" or "cuda:1". Throws on anything else, and on cuda where none is built or found.
Device parse_device(std::string_view text);
std::string device_name(Device device);

}  // namespace engine
