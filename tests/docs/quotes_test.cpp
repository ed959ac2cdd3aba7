// Code on a page of docs/ is quoted, not written there: ```cpp FILE, and the lines below stand in FILE, in that order, without a gap.
#include "tests/support/text_files.h"

#include <filesystem>
#include <sstream>

#include <doctest/doctest.h>

namespace {

struct Quote {
    std::string page, file, text;
};

std::vector<Quote> quotes_of(const std::filesystem::path& page) {
    std::vector<Quote> quotes;
    std::istringstream lines(tests::read_text(page));
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.rfind("```cpp", 0) == 0) {
            quotes.push_back({page.string(), line.size() > 7 ? line.substr(7) : "", ""});
            inside = true;
        } else if (line == "```") {
            inside = false;
        } else if (inside) {
            quotes.back().text += line + "\n";
        }
    }
    return quotes;
}

}  // namespace

TEST_CASE("code on a page of the docs stands in the file that it names, line for line") {
    int seen = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator("docs")) {
        if (entry.path().extension() != ".md") continue;
        for (const Quote& quote : quotes_of(entry.path())) {
            INFO(quote.page << ", from \"" << quote.file << "\":\n" << quote.text);
            REQUIRE(std::filesystem::is_regular_file(quote.file));
            std::string source = tests::read_text(quote.file);
            std::size_t at = source.find(quote.text);
            CHECK((at != std::string::npos && (at == 0 || source[at - 1] == '\n')));
            ++seen;
        }
    }
    CHECK(seen >= 8);
}
