#include "apps/command.h"

#include <iostream>

#ifdef MOEGRAD_SELF_TEST
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#endif

int main(int count, char** words) {
#ifdef MOEGRAD_SELF_TEST
    if (count > 1 && std::string(words[1]) == "self-test") return doctest::Context(count - 1, words + 1).run();
#endif
    return apps::run_program({words + (count > 0 ? 1 : 0), words + count}, std::cerr);
}
