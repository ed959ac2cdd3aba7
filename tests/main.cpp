#define DOCTEST_CONFIG_IMPLEMENT
#include "apps/command.h"

#include <iostream>
#include <string_view>

#include <doctest/doctest.h>

// "program …" as the first word runs the program itself: tests start themselves as a process of its own that way.
int main(int count, char** words) {
    if (count > 1 && std::string_view(words[1]) == "program") return apps::run_program({words + 2, words + count}, std::cerr);
    return doctest::Context(count, words).run();
}
