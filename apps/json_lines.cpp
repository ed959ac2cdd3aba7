#include "apps/json_lines.h"

#include "engine/base/error.h"

#include <fstream>

namespace apps {

LineFaults read_json_lines(const std::filesystem::path& path, const std::function<void(const nlohmann::json&)>& take) {
    LineFaults faults;
    if (!std::filesystem::exists(path)) {
        faults.missing = true;
        return faults;
    }
    std::ifstream in(path);
    engine::expect(in.good(), "compare", "cannot read {}", path.string());
    for (std::string line; std::getline(in, line);) {
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        nlohmann::json record = nlohmann::json::parse(line, nullptr, false);
        if (record.is_object()) {
            take(record);
        } else if (in.eof()) {
            faults.torn = true;  // no newline after it: the writer was stopped here
        } else {
            faults.unreadable += 1;
        }
    }
    return faults;
}

double number_of(const nlohmann::json& object, const std::string& name) {
    if (!object.is_object()) return kNoNumber;
    auto member = object.find(name);
    return member != object.end() && member->is_number() ? member->get<double>() : kNoNumber;
}

std::string text_of(const nlohmann::json& object, const std::string& name) {
    if (!object.is_object()) return {};
    auto member = object.find(name);
    return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

}  // namespace apps
