#pragma once
#include <CLI/CLI.hpp>

namespace apps {

// Checks of options; CLI11's own ones for these tell the largest double in 300 digits.
CLI::Validator not_negative();
CLI::Validator positive();
CLI::Validator between(double least, double most);

}  // namespace apps
