#pragma once
// The program in this process, and what it says.
#include <string>
#include <vector>

namespace tests {

using Arguments = std::vector<std::string>;

struct ProgramResult {
    int code = 0;
    std::string errors = {};  // stderr
    std::string output = {};  // stdout
};
ProgramResult run_program(const Arguments& arguments);

// What it prints on stdout; the test fails where it does not end well.
std::string printed_by(const Arguments& arguments);

}  // namespace tests
