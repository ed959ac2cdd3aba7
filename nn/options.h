#pragma once
// Options of a layer by name, as a configuration gives them. Knows which were asked for, so that a misspelt one is an error.
#include "engine/base/dtype.h"

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace nn {

using engine::Size;

// Sizes are below 2³¹: so are the indices that kernels compute with, and a product of two never overflows.
inline constexpr Size kMostSize = std::numeric_limits<std::int32_t>::max();

using OptionValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>>;

// As TOML writes it.
std::string option_text(const OptionValue& value);
// The name among `names` with the fewest edits to `word`; empty where there are none.
std::string nearest_name(std::string_view word, const std::vector<std::string>& names);

class OptionTable {
  public:
    // `where` begins every message: "ffn", or a file's name.
    explicit OptionTable(std::string where = "options") : where_(std::move(where)) {}

    void set(std::string name, OptionValue value) { values_[std::move(name)] = std::move(value); }
    // A value for an option that has no default, where a layer asks for it; never an error where none does.
    void offer(std::string name, OptionValue value) { offers_[std::move(name)] = std::move(value); }
    bool contains(const std::string& name) const { return values_.contains(name); }
    const std::map<std::string, OptionValue>& values() const { return values_; }
    const std::string& where() const { return where_; }

    // Each getter marks the option as known. Without a default an option must be given. Wrong types and ranges throw.
    Size size(const std::string& name, std::optional<Size> otherwise = {}, Size least = 1, Size most = kMostSize) const;
    double number(const std::string& name, std::optional<double> otherwise = {}, double least = -std::numeric_limits<double>::infinity(),
                  double most = std::numeric_limits<double>::infinity()) const;
    bool flag(const std::string& name, std::optional<bool> otherwise = {}) const;
    // One of `allowed`; anything where that is empty.
    std::string word(const std::string& name, std::optional<std::string> otherwise = {},
                     const std::vector<std::string>& allowed = {}) const;
    std::vector<Size> list(const std::string& name, std::optional<std::vector<Size>> otherwise = {}) const;
    // Throws if an option was given that nobody asked for, and names the nearest that is known.
    void expect_all_used() const;
    // The names that were asked for, given or not.
    const std::set<std::string>& asked() const { return used_; }

    bool operator==(const OptionTable& other) const { return values_ == other.values_; }

  private:
    const OptionValue* find(const std::string& name, bool required) const;
    [[noreturn]] void wrong(const std::string& name, const OptionValue& value, const char* expected) const;

    std::string where_;
    std::map<std::string, OptionValue> values_, offers_;
    mutable std::set<std::string> used_;
};

}  // namespace nn
