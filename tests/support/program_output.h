#pragma once
// What `moegrad …` prints on stdout; the test fails where it does not end well.
#include "apps/command.h"

#include <iostream>
#include <sstream>

#include <doctest/doctest.h>

namespace tests {

inline std::string printed_by(const std::vector<std::string>& arguments) {
    std::ostringstream out, errors;
    std::streambuf* before = std::cout.rdbuf(out.rdbuf());
    int code = apps::run_program(arguments, errors);
    std::cout.rdbuf(before);
    INFO(errors.str());
    CHECK(code == apps::kDone);
    return out.str();
}

}  // namespace tests
