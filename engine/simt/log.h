#pragma once
#include <set>
#include <string>

namespace engine::simt {

// The names of the kernels that this process has run. With MOEGRAD_SIMT_LOG=FILE the process adds them to that file when it ends, one a
// line; tools/check_launches compares them with the sources.
std::set<std::string> launched_kernels();
void note_launch(const char* kernel);

}  // namespace engine::simt
