#include "nn/options.h"

#include "engine/base/error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace nn {
namespace {

using engine::expect;
using engine::fail;

std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            std::size_t kept = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({kept, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

std::string quoted_text(const std::string& text) {
    std::string result = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') result += '\\';
        if (static_cast<unsigned char>(c) < 32 || c == 127) {
            result += fmt::format("\\u{:04x}", static_cast<int>(c));
        } else {
            result += c;
        }
    }
    return result + "\"";
}

std::string number_text(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    std::string text = fmt::format("{}", value);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

}  // namespace

std::string option_text(const OptionValue& value) {
    if (auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    if (auto* whole = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *whole);
    if (auto* number = std::get_if<double>(&value)) return number_text(*number);
    if (auto* text = std::get_if<std::string>(&value)) return quoted_text(*text);
    return fmt::format("[{}]", fmt::join(std::get<std::vector<std::int64_t>>(value), ", "));
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& names) {
    auto best = std::min_element(names.begin(), names.end(), [&](auto& a, auto& b) { return edits(word, a) < edits(word, b); });
    return best == names.end() ? "" : *best;
}

const OptionValue* OptionTable::find(const std::string& name, bool required) const {
    used_.insert(name);
    auto found = values_.find(name);
    if (found != values_.end()) return &found->second;
    if (auto offered = offers_.find(name); required && offered != offers_.end()) return &offered->second;
    expect(!required, where_, "option {} is missing; hint: it has no default", name);
    return nullptr;
}

void OptionTable::wrong(const std::string& name, const OptionValue& value, const char* expected) const {
    fail(where_, "option {} has the wrong type: got {}, expected {}", name, option_text(value), expected);
}

Size OptionTable::size(const std::string& name, std::optional<Size> otherwise, Size least, Size most) const {
    const OptionValue* value = find(name, !otherwise);
    if (value == nullptr) return *otherwise;
    auto* whole = std::get_if<std::int64_t>(value);
    if (whole == nullptr) wrong(name, *value, "a whole number");
    expect(*whole >= least && *whole <= most, where_, "option {} is out of range: got {}, expected {} to {}", name, *whole, least, most);
    return *whole;
}

double OptionTable::number(const std::string& name, std::optional<double> otherwise, double least, double most) const {
    const OptionValue* value = find(name, !otherwise);
    if (value == nullptr) return *otherwise;
    auto* whole = std::get_if<std::int64_t>(value);
    auto* number = std::get_if<double>(value);
    if (whole == nullptr && number == nullptr) wrong(name, *value, "a number");
    double result = whole != nullptr ? static_cast<double>(*whole) : *number;
    expect(std::isfinite(result) && result >= least && result <= most, where_, "option {} is out of range: got {}, expected {} to {}", name,
           result, least, most);
    return result;
}

bool OptionTable::flag(const std::string& name, std::optional<bool> otherwise) const {
    const OptionValue* value = find(name, !otherwise);
    if (value == nullptr) return *otherwise;
    auto* flag = std::get_if<bool>(value);
    if (flag == nullptr) wrong(name, *value, "true or false");
    return *flag;
}

std::string OptionTable::word(const std::string& name, std::optional<std::string> otherwise,
                              const std::vector<std::string>& allowed) const {
    const OptionValue* value = find(name, !otherwise);
    if (value == nullptr) return *otherwise;
    auto* text = std::get_if<std::string>(value);
    if (text == nullptr) wrong(name, *value, "a string");
    bool known = allowed.empty() || std::find(allowed.begin(), allowed.end(), *text) != allowed.end();
    expect(known, where_, "option {} has an unknown value: got {}, expected one of {}; hint: did you mean {}?", name, option_text(*value),
           fmt::join(allowed, ", "), nearest_name(*text, allowed));
    return *text;
}

std::vector<Size> OptionTable::list(const std::string& name, std::optional<std::vector<Size>> otherwise) const {
    const OptionValue* value = find(name, !otherwise);
    if (value == nullptr) return *otherwise;
    auto* list = std::get_if<std::vector<std::int64_t>>(value);
    if (list == nullptr) wrong(name, *value, "a list of whole numbers");
    return *list;
}

void OptionTable::expect_all_used() const {
    for (const auto& [name, value] : values_) {
        if (used_.contains(name)) continue;
        std::vector<std::string> known(used_.begin(), used_.end());
        fail(where_, "unknown option: got {}; hint: did you mean {}?", option_text(name), nearest_name(name, known));
    }
}

}  // namespace nn
