#pragma once
// Errors of the form "[op] what is wrong: got ..., expected ...; hint: ...". Includes fmt, so no .cu file may reach this header.
#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace engine {

// A failure with a message for a person; exit code 1.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// The command line is wrong; exit code 2.
class UsageError : public Error {
  public:
    using Error::Error;
};

template <class... Args>
[[noreturn]] void fail(std::string_view op, fmt::format_string<Args...> format, Args&&... args) {
    throw Error(fmt::format("[{}] {}", op, fmt::format(format, std::forward<Args>(args)...)));
}

// expect(condition, "op", "what is wrong: got {}, expected {}; hint: ...", ...)
template <class... Args>
void expect(bool condition, std::string_view op, fmt::format_string<Args...> format, Args&&... args) {
    if (!condition) [[unlikely]] { fail(op, format, std::forward<Args>(args)...); }
}

}  // namespace engine
