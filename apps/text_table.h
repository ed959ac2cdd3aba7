#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace apps {

// Columns of text side by side; a column whose values all begin with a digit or sign stands right.
class TextTable {
  public:
    explicit TextTable(std::vector<std::string> head) : lines_{std::move(head)} {}
    void add(std::vector<std::string> line) { lines_.push_back(std::move(line)); }
    std::string text() const;

  private:
    std::vector<std::vector<std::string>> lines_;
};

}  // namespace apps
