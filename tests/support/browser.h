#pragma once
// Pages as a browser shows them. Needs chromium; says so where there is none.
#include "tests/support/temporary_folder.h"

#include <string>

namespace tests {

// The document after scripts ran, and what they wrote to the console; both empty where no browser starts.
struct Shown {
    std::string document, console;
};

Shown show(const std::string& page, const TemporaryFolder& folder, const std::string& address = "");

// `script` runs after the page has drawn itself; what it returns stands in the attribute data-result of <body>.
std::string with_script(std::string page, const std::string& script);
std::string result_of(const Shown& shown);

bool has(const Shown& shown, const std::string& part);

}  // namespace tests
