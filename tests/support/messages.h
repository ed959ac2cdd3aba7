#pragma once
// What is thrown, and what a text says.
#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace tests {

// The message of the Error that the body throws; "no error" where it throws none.
template <class Error, class Body>
std::string message_of(Body&& body) {
    try {
        body();
    } catch (const Error& error) { return error.what(); }
    return "no error";
}

// Shows the text where the part is missing.
inline bool has(const std::string& text, std::string_view part) {
    if (text.find(part) != std::string::npos) return true;
    MESSAGE(text);
    return false;
}

}  // namespace tests
