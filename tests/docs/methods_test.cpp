// docs/moe: every row of the table has its page, and the page says what the code says.
#include "moe/methods/table.h"
#include "tests/support/program_output.h"
#include "tests/support/text_files.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace {

const std::filesystem::path kPages = "docs/moe";

// The page that docs/moe/README.md names in the row's line; empty where there is none.
std::string page_of(const std::string& method) {
    std::istringstream lines(tests::read_text(kPages / "README.md"));
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(fmt::format("| `{}` |", method))) continue;
        std::size_t open = line.find("]("), close = line.find(')', open);
        return close == std::string::npos ? "" : line.substr(open + 2, close - open - 2);
    }
    return "";
}

std::string with_commas(std::int64_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
    return digits;
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Every option that the row's layer asks for.
std::set<std::string> options_of(const moe::Method& method) {
    nn::OptionTable sizes("docs");
    for (auto [name, value] :
         std::map<std::string, nn::Size>{{"hidden", 8}, {"n_experts", 4}, {"expert_size", 4}, {"k", 2}, {"cells", 4}, {"rank", 2}}) {
        sizes.offer(name, value);
    }
    for (auto [name, value] :
         std::map<std::string, nn::Size>{{"sub_keys", 4}, {"heads", 2}, {"query_size", 4}, {"vocab", 9}, {"context", 6}}) {
        sizes.offer(name, value);
    }
    moe::make_feed_forward(method, sizes, {.channels = 8});
    return sizes.asked();
}

}  // namespace

TEST_CASE("every row of the table has a page, which names it, its options and its parts in the same order") {
    for (const moe::Method& method : moe::methods()) {
        std::string name(method.name), page = page_of(name);
        INFO(name << ", page \"" << page << "\"; hint: docs/moe/README.md needs the line \"| `" << name << "` | [page](page) | … |\"");
        REQUIRE(std::filesystem::is_regular_file(kPages / page));
        std::string text = tests::read_text(kPages / page);
        CHECK(holds(text, fmt::format("`{}`", name)));
        for (const std::string& option : options_of(method)) CHECK_MESSAGE(holds(text, fmt::format("`{}`", option)), option);
        std::size_t at = 0;
        for (const char* part :
             {"# `", "\n## Data flow\n", "\n## Forward\n", "\n## Backward\n", "\n## Options\n", "\n## Measured\n", "\n## Exercises\n"}) {
            INFO(part);
            std::size_t found = text.find(part, at);
            REQUIRE(found != std::string::npos);
            at = found;
        }
        for (const char* exercise : {"\n1. ", "\n2. ", "\n3. "}) CHECK(text.find(exercise, at) != std::string::npos);
    }
}

TEST_CASE("parameters and FLOPs on a page are those of moegrad methods") {
    for (const auto& row : nlohmann::json::parse(tests::printed_by({"methods", "--json"}))) {
        INFO(row["name"]);
        std::string text = tests::read_text(kPages / page_of(row["name"]));
        std::int64_t selector = row["selector_flops"];
        std::string counts =
            fmt::format("At C = 512 (`moegrad methods`): {} parameters, {} FLOPs a token, {} to choose.", with_commas(row["parameters"]),
                        with_commas(row["flops"]), selector == 0 ? "none" : with_commas(selector) + " of them");
        INFO(counts);
        CHECK(holds(text, counts));
    }
}

TEST_CASE("links between pages and to the code lead to files") {
    std::regex link(R"(\]\(([^)# ]+)(#[^)]*)?\))");
    for (const auto& entry : std::filesystem::recursive_directory_iterator("docs")) {
        if (entry.path().extension() != ".md") continue;
        std::string text = tests::read_text(entry.path());
        for (std::sregex_iterator it(text.begin(), text.end(), link), end; it != end; ++it) {
            std::string target = (*it)[1];
            if (target.find("://") != std::string::npos) continue;
            CHECK_MESSAGE(std::filesystem::exists(entry.path().parent_path() / target), entry.path().string() << ": " << target);
        }
    }
}
