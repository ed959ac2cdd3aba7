#include "apps/command.h"

#include "tests/support/program_output.h"

#include <doctest/doctest.h>

namespace {

void check_usage(const std::vector<std::string>& arguments, const std::string& part) {
    auto [code, text, output] = tests::run_program(arguments);
    INFO(text);
    CHECK(code == apps::kWrongUsage);
    CHECK(text.starts_with("moegrad: [usage] "));
    CHECK(text.find('\n') == text.size() - 1);
    CHECK(text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("a wrong command line is one line on stderr and exit code 2") {
    check_usage({}, "subcommand");
    check_usage({"inof"}, "did you mean info?");
    check_usage({""}, "unknown subcommand");
    check_usage({"two\nlines"}, "unknown subcommand");
    check_usage({"info", "--jsno"}, "--jsno");
    check_usage({"info", "--json=maybe"}, "maybe");
    check_usage({"info", "extra"}, "extra");
    check_usage({"--nothing"}, "hint: moegrad --help");
    check_usage({"-"}, "hint");
    check_usage({"--"}, "hint");
}

TEST_CASE("what is planned but not built says so") { check_usage({"serve"}, "serve is not built yet"); }
