#pragma once
// Errors of the form "[op] what is wrong: got ..., expected ...; hint: ...".
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

namespace data {

// A failure with a message for a person.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
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

}  // namespace data
