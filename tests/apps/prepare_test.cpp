#include "apps/command.h"
#include "data/token_store.h"
#include "tests/support/program_output.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_files.h"

#include <doctest/doctest.h>

namespace fs = std::filesystem;

TEST_CASE("prepare writes a store and prints documents, bytes, tokens and vocabulary") {
    tests::TemporaryFolder folder;
    for (int i = 0; i < 50; ++i) tests::write_text(folder / "in" / std::to_string(i), std::string(100, 'a') + "b c");
    tests::ProgramResult answer =
        tests::run_program({"prepare", (folder / "in").string(), "--tokenizer", "bytes-seen", "--out", (folder / "store").string()});
    INFO(answer.errors);
    CHECK(answer.code == apps::kDone);
    CHECK(answer.errors.empty());
    for (const char* part : {"documents", "train", "valid", "test", "4635", "vocabulary 4", "bytes-seen", "/s"}) {
        INFO(part << " in " << answer.output);
        CHECK(answer.output.find(part) != std::string::npos);
    }
    CHECK(data::TokenStore(folder / "store").split("train").documents() == 45);
}

TEST_CASE("prepare takes several paths and replaces a store with --force only") {
    tests::TemporaryFolder folder;
    tests::write_text(folder / "a.txt", "first");
    tests::write_text(folder / "b.txt", "second");
    std::string a = (folder / "a.txt").string(), b = (folder / "b.txt").string(), store = (folder / "store").string();
    CHECK(tests::run_program({"prepare", b, a, "--tokenizer", "bytes", "--out", store}).code == apps::kDone);
    tests::ProgramResult answer = tests::run_program({"prepare", a, "--tokenizer", "bytes", "--out", store});
    CHECK(answer.code == apps::kFailed);
    CHECK(answer.errors == "moegrad: [prepare] " + store + " holds a prepared store already; hint: --force replaces it\n");
    CHECK(tests::run_program({"prepare", a, "--tokenizer", "bytes", "--out", store, "--force"}).code == apps::kDone);
    for (const data::Document& document : data::TokenStore(store).documents()) CHECK(document.name == "a.txt");
}

TEST_CASE("a tokenizer that is not built is wrong usage, what cannot be read is a failure; both are one line") {
    tests::TemporaryFolder folder;
    tests::write_text(folder / "a.txt", "text");
    std::string a = (folder / "a.txt").string(), store = (folder / "store").string();
    tests::ProgramResult answer = tests::run_program({"prepare", a, "--tokenizer", "gpt2", "--out", store});
    CHECK(answer.code == apps::kWrongUsage);
    CHECK(answer.errors == "moegrad: [prepare] tokenizer not built yet: got gpt2, expected bytes or bytes-seen\n");
    answer = tests::run_program({"prepare", (folder / "none").string(), "--tokenizer", "bytes", "--out", store});
    CHECK(answer.code == apps::kFailed);
    CHECK(answer.errors == "moegrad: [prepare] there is no " + (folder / "none").string() + ": expected a file or a folder\n");
    CHECK(tests::run_program({"prepare", a, "--out", store}).code == apps::kWrongUsage);
    CHECK(tests::run_program({"prepare", "--tokenizer", "bytes", "--out", store}).code == apps::kWrongUsage);
    CHECK(!fs::exists(store));
}
