#include "apps/command.h"

#include <iostream>

#ifdef MOEGRAD_SELF_TEST
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#endif

int main(int count, char** words) {
#ifdef MOEGRAD_SELF_TEST
    if (count > 1 && std::string(words[1]) == "self-test") return doctest::Context(count - 1, words + 1).run();
    // How the tests start the program as a process of its own, as in tests/main.cpp.
    if (count > 1 && std::string(words[1]) == "program") return apps::run_program({words + 2, words + count}, std::cerr);
#endif
    return apps::run_program({words + (count > 0 ? 1 : 0), words + count}, std::cerr);
}
