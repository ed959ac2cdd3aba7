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

// Dead, though nobody has asked for its exit code yet.
bool is_zombie(std::int64_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string line;
    std::getline(file, line);
    std::size_t name_end = line.rfind(')');
    return name_end != std::string::npos && line.compare(name_end, 4, ") Z ") == 0;
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
    if (place.machine != process_place().machine) return false;
    return (kill(static_cast<pid_t>(place.process), 0) != 0 && errno == ESRCH) || is_zombie(place.process);
}

}  // namespace engine
