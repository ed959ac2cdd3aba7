#include "engine/comm/process_place.h"

#include "engine/io/manifest.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>

#include <unistd.h>

namespace engine {
namespace {

// The boot and the name space of process numbers: containers of one machine do not see each other.
std::uint64_t this_machine() {
    std::string boot, space(64, ' ');
    std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
    ssize_t length = readlink("/proc/self/ns/pid", space.data(), space.size());
    space.resize(static_cast<std::size_t>(length > 0 ? length : 0));
    return io::fnv1a(boot + space);
}

}  // namespace

ProcessPlace process_place() {
    static const std::uint64_t machine = this_machine();
    return {machine, getpid()};
}

int count_here(const std::vector<ProcessPlace>& places, int count) {
    return static_cast<int>(
        std::count_if(places.begin(), places.begin() + count, [](const ProcessPlace& p) { return p.machine == process_place().machine; }));
}

bool is_gone(const ProcessPlace& place) {
    return place.machine == process_place().machine && kill(static_cast<pid_t>(place.process), 0) != 0 && errno == ESRCH;
}

}  // namespace engine
