#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace apps {

// What was wrong with a file of JSON lines that something may still be writing.
struct LineFaults {
    bool missing = false;         // no such file
    bool torn = false;            // the last line is cut
    std::int64_t unreadable = 0;  // other lines that are no JSON objects
};

// Hands every object of the file to `take`, in order; skips and counts what is none. Throws engine::Error for a file that cannot be read.
LineFaults read_json_lines(const std::filesystem::path& path, const std::function<void(const nlohmann::json&)>& take);

inline constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();

// The member as a number; NaN where it is absent, null (JSON's only way to write NaN) or something else.
double number_of(const nlohmann::json& object, const std::string& name);
// The member as text; empty where it is absent or something else.
std::string text_of(const nlohmann::json& object, const std::string& name);

}  // namespace apps
