#include "apps/option_checks.h"

#include <fmt/format.h>

namespace apps {
namespace {

template <class Fits>
CLI::Validator number(Fits fits, const std::string& wanted, const std::string& in_help) {
    auto check = [=](std::string& text) -> std::string {
        double value = 0;
        bool is_number = CLI::detail::lexical_cast(text, value);
        return is_number && fits(value) ? "" : fmt::format("got {}, expected a number {}", text, wanted);
    };
    return {check, in_help};
}

}  // namespace

CLI::Validator not_negative() {
    return number([](double value) { return value >= 0; }, "of at least 0", "NONNEGATIVE");
}
CLI::Validator positive() {
    return number([](double value) { return value > 0; }, "above 0", "POSITIVE");
}
CLI::Validator between(double least, double most) {
    return number([=](double value) { return value >= least && value <= most; }, fmt::format("from {} to {}", least, most),
                  fmt::format("in [{} - {}]", least, most));
}

}  // namespace apps
