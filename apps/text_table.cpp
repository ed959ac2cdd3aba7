#include "apps/text_table.h"

#include <algorithm>

namespace apps {
namespace {

// Characters of UTF-8 text; every one of ours is one column wide.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string TextTable::text() const {
    std::size_t columns = lines_.front().size();
    std::vector<std::size_t> widths(columns);
    std::vector<bool> right(columns, true);
    for (std::size_t row = 0; row < lines_.size(); ++row) {
        for (std::size_t i = 0; i < columns; ++i) {
            const std::string& value = lines_[row][i];
            widths[i] = std::max(widths[i], width_of(value));
            if (row > 0 && !value.empty() && value.find_first_of("0123456789+-") != 0) right[i] = false;
        }
    }
    std::string text;
    for (const auto& line : lines_) {
        for (std::size_t i = 0; i < columns; ++i) {
            std::string space(widths[i] - width_of(line[i]), ' ');
            bool last = i + 1 == columns;
            text += right[i] ? space + line[i] : last ? line[i] : line[i] + space;
            text += last ? "\n" : "  ";
        }
    }
    return text;
}

}  // namespace apps
