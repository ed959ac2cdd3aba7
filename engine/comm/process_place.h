#pragma once
#include <cstdint>
#include <vector>

namespace engine {

// Which process of which machine; two processes of one `machine` can see each other.
struct ProcessPlace {
    std::uint64_t machine = 0;
    std::int64_t process = 0;
};

ProcessPlace process_place();
// How many of the first `count` stand on this machine.
int count_here(const std::vector<ProcessPlace>& places, int count);
// The process stood on this machine and has ended. Of other machines nothing can be said.
bool is_gone(const ProcessPlace& place);

}  // namespace engine
