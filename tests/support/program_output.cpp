#include "tests/support/program_output.h"

#include "apps/command.h"

#include <iostream>
#include <sstream>

#include <doctest/doctest.h>

namespace tests {

ProgramResult run_program(const Arguments& arguments) {
    std::ostringstream output, errors;
    std::streambuf* before = std::cout.rdbuf(output.rdbuf());
    int code = apps::run_program(arguments, errors);
    std::cout.rdbuf(before);
    return {code, errors.str(), output.str()};
}

std::string printed_by(const Arguments& arguments) {
    ProgramResult result = run_program(arguments);
    INFO(result.errors);
    REQUIRE(result.code == apps::kDone);
    return result.output;
}

}  // namespace tests
