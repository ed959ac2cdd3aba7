#include "data/prepare.h"

#include "data/error.h"
#include "data/token_store.h"
#include "tests/support/full_disk.h"
#include "tests/support/messages.h"
#include "tests/support/packing.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_files.h"

#include <cstdlib>
#include <map>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

using data::PrepareOptions, data::TokenStore;
namespace fs = std::filesystem;

namespace {

std::map<std::string, std::string> files_of(const fs::path& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file()) files[entry.path().lexically_relative(folder).string()] = tests::read_text(entry.path());
    }
    return files;
}

std::string text_of(const TokenStore& store, const data::Document& document) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(document.tokens));
    store.split(data::kSplitNames[static_cast<std::size_t>(document.split)]).read(document.first, document.tokens, ids.data());
    return store.tokenizer().decode(ids);
}

std::string message_of(const PrepareOptions& options) {
    return tests::message_of<data::Error>([&] { data::prepare(options); });
}

// 30 texts of different lengths in two folders.
std::map<std::string, std::string> write_corpus(const fs::path& folder) {
    std::map<std::string, std::string> texts;
    for (std::size_t i = 0; i < 30; ++i) {
        std::string name = fmt::format("{}/{:02}.txt", i % 2 == 0 ? "a" : "b", i), text = tests::some_bytes(1000 + 37 * i, i);
        tests::write_text(folder / name, text);
        texts[name] = text;
    }
    return texts;
}

}  // namespace

TEST_CASE("twenty documents or more stand whole in one split each, and the store gives every one back to the byte") {
    tests::TemporaryFolder folder;
    std::map<std::string, std::string> texts = write_corpus(folder / "in");
    data::Manifest manifest = data::prepare({.paths = {folder / "in"}, .out = folder / "store"});
    CHECK(manifest.split_rule == "whole documents by the hash of their names");
    TokenStore store(folder / "store");
    std::map<std::string, std::string> read;
    for (const data::Document& document : store.documents()) read[document.name] = text_of(store, document);
    CHECK(read == texts);
    std::int64_t documents = 0, bytes = 0, all = 0;
    for (const auto& [name, text] : texts) all += static_cast<std::int64_t>(text.size());
    for (std::string_view name : data::kSplitNames) {
        documents += store.split(name).documents();
        bytes += store.split(name).bytes();
        CHECK(store.split(name).documents() >= 1);
    }
    CHECK(documents == 30);
    CHECK(bytes == all);
    // Right to half a document, the largest of which has 1000 + 37·29 bytes.
    CHECK(std::abs(static_cast<double>(store.split("train").bytes()) - 0.90 * static_cast<double>(all)) <= 0.5 * (1000 + 37 * 29));
}

TEST_CASE("the same text gives the same store, whatever the order of the paths and however it is packed") {
    tests::TemporaryFolder folder;
    write_corpus(folder / "in");
    data::prepare({.paths = {folder / "in/a", folder / "in/b"}, .out = folder / "one"});
    data::prepare({.paths = {folder / "in/b", folder / "in/a"}, .out = folder / "two"});
    CHECK(files_of(folder / "one") == files_of(folder / "two"));
    for (const auto& [name, text] : files_of(folder / "in/b")) {
        fs::remove(folder / "in/b" / name);
        tests::write_text(folder / "in/b" / (name + ".zst"), tests::zstd_packed(text));
    }
    data::prepare({.paths = {folder / "in/b", folder / "in/a"}, .out = folder / "three"});
    CHECK(files_of(folder / "one") == files_of(folder / "three"));
    std::string tar;
    for (const auto& [name, text] : write_corpus(folder / "in")) tar += tests::tar_member(name.substr(2), text);
    tests::write_text(folder / "x.tar", tar + tests::tar_end());
    data::prepare({.paths = {folder / "x.tar"}, .out = folder / "four"});
    std::map<std::string, data::SplitId> splits;
    for (const data::Document& document : TokenStore(folder / "one").documents()) splits[document.name] = document.split;
    for (const data::Document& document : TokenStore(folder / "four").documents()) CHECK(splits.at(document.name) == document.split);
}

TEST_CASE("fewer than twenty documents are cut by position, in the order of their names") {
    tests::TemporaryFolder folder;
    std::string all;
    for (const char* name : {"a", "b", "c"}) {
        std::string text(1000, name[0]);
        tests::write_text(folder / "in" / name, text);
        all += text;
    }
    data::Manifest manifest = data::prepare({.paths = {folder / "in"}, .out = folder / "store"});
    CHECK(manifest.split_rule == "by position");
    CHECK(manifest.splits[0].bytes == 2700);
    CHECK(manifest.splits[1].bytes == 150);
    CHECK(manifest.splits[2].bytes == 150);
    TokenStore store(folder / "store");
    std::string read;
    std::vector<std::string> names;
    for (const data::Document& document : store.documents()) {
        read += text_of(store, document);
        names.push_back(document.name);
    }
    CHECK(read == all);
    CHECK(names == std::vector<std::string>{"a", "b", "c", "c", "c"});
}

TEST_CASE("twenty documents are enough to stay whole, nineteen are not") {
    for (int count : {19, 20}) {
        tests::TemporaryFolder folder;
        for (int i = 0; i < count; ++i) tests::write_text(folder / "in" / std::to_string(i), std::string(10, 'x'));
        data::Manifest manifest = data::prepare({.paths = {folder / "in"}, .out = folder / "store"});
        CHECK(manifest.split_rule == (count < 20 ? "by position" : "whole documents by the hash of their names"));
    }
}

TEST_CASE("words are counted as wc counts them, across pieces of a document but not across documents") {
    tests::TemporaryFolder folder;
    std::string text = "  one two\tthree\nfour\v\f\r five  ";
    for (int i = 0; i < 40; ++i) tests::write_text(folder / "in" / std::to_string(i), text.substr(0, text.size() - 2));
    data::Manifest manifest = data::prepare({.paths = {folder / "in"}, .out = folder / "store"});
    CHECK(manifest.splits[0].words + manifest.splits[1].words + manifest.splits[2].words == 40 * 5);
}

TEST_CASE("bytes-seen holds the bytes of the whole text, those of test included") {
    tests::TemporaryFolder folder;
    tests::prepare_text(folder / "store", std::string(99, 'a') + "z", "bytes-seen");
    TokenStore store(folder / "store");
    CHECK(store.vocab() == 2);
    CHECK(store.tokenizer().encode("za") == std::vector<std::int32_t>{1, 0});
}

TEST_CASE("nothing to read is an error and leaves nothing") {
    tests::TemporaryFolder folder;
    fs::create_directories(folder / "empty/.hidden");
    tests::write_text(folder / "empty/.hidden/a.txt", "x");
    fs::path out = folder / "deep/er/store";
    CHECK(message_of({.paths = {folder / "empty"}, .out = out}).find("no files found") != std::string::npos);
    tests::write_text(folder / "none.txt", "");
    CHECK(message_of({.paths = {folder / "none.txt"}, .out = out}).find("no text found") != std::string::npos);
    CHECK(message_of({.paths = {folder / "missing"}, .out = out}).find("there is no") != std::string::npos);
    CHECK(message_of({.paths = {}, .out = out}).find("no path") != std::string::npos);
    tests::write_text(folder / "cut.zst", tests::zstd_packed("some text").substr(0, 12));
    CHECK(message_of({.paths = {folder / "cut.zst"}, .out = out}).find("is truncated") != std::string::npos);
    tests::write_text(folder / "a.txt", "text");
    CHECK(message_of({.paths = {folder / "a.txt"}, .tokenizer = "none", .out = out}).find("unknown tokenizer") != std::string::npos);
    CHECK(message_of({.paths = {folder / "a.txt"}, .out = ""}).find("names no folder") != std::string::npos);
    CHECK(!fs::exists(folder / "deep"));
}

TEST_CASE("a full disk leaves nothing, or what stood there before") {
    tests::TemporaryFolder folder;
    tests::write_text(folder / "a.txt", tests::some_bytes(3'000'000));
    PrepareOptions options{.paths = {folder / "a.txt"}, .out = folder / "deep/store"};
    auto prepare_on_full_disk = [&] {
        tests::FullDisk full(100'000);
        return message_of(options);
    };
    CHECK(prepare_on_full_disk() == "[file] cannot write " + (folder / "deep/store.partial/train-00000.u8").string() + ": File too large");
    CHECK(!fs::exists(folder / "deep"));
    data::prepare(options);
    std::map<std::string, std::string> before = files_of(folder / "deep");
    options.replace = true;
    CHECK(prepare_on_full_disk().starts_with("[file] cannot write"));
    CHECK(files_of(folder / "deep") == before);
}

TEST_CASE("a prepare that is stopped, at whatever piece, leaves nothing") {
    tests::TemporaryFolder folder;
    write_corpus(folder / "in");
    int calls = 0;
    PrepareOptions options{.paths = {folder / "in"}, .out = folder / "store"};
    options.progress = [&](const data::PrepareProgress& progress) {
        ++calls;
        CHECK(progress.done <= progress.of);
    };
    data::prepare(options);
    fs::remove_all(folder / "store");
    for (int last = 1; last <= calls; last += 7) {
        int left = last;
        options.progress = [&](const data::PrepareProgress&) {
            if (--left == 0) throw data::Error("[prepare] stopped");
        };
        CHECK(message_of(options) == "[prepare] stopped");
        CHECK(!fs::exists(folder / "store"));
        CHECK(!fs::exists(folder / "store.partial"));
    }
}

TEST_CASE("input that changes between the two readings is an error") {
    tests::TemporaryFolder folder;
    for (const std::string& change : {std::string("longer text"), std::string(), std::string("x")}) {
        tests::write_text(folder / "a.txt", "before");
        tests::write_text(folder / "b.txt", "other");
        PrepareOptions options{.paths = {folder / "a.txt", folder / "b.txt"}, .out = folder / "store"};
        options.progress = [&](const data::PrepareProgress& progress) {
            if (progress.pass == 1 && progress.done >= 11) tests::write_text(folder / "a.txt", change);
        };
        INFO(change);
        std::string what = change.empty() ? "b.txt was not there before" : change.size() > 6 ? "a.txt grew" : "a.txt shrank";
        CHECK(message_of(options) ==
              "[prepare] " + what + "; the input changes while it is read; hint: run prepare again when nothing writes to it");
        CHECK(!fs::exists(folder / "store"));
    }
}

TEST_CASE("a store is replaced only if that was asked for, and anything else never") {
    tests::TemporaryFolder folder;
    tests::prepare_text(folder / "store", "first");
    std::map<std::string, std::string> first = files_of(folder / "store");
    tests::write_text(folder / "b.txt", "second");
    PrepareOptions options{.paths = {folder / "b.txt"}, .out = folder / "store/"};
    CHECK(message_of(options) ==
          "[prepare] " + (folder / "store/").string() + " holds a prepared store already; hint: --force replaces it");
    CHECK(files_of(folder / "store") == first);
    options.replace = true;
    data::prepare(options);
    CHECK(TokenStore(folder / "store").documents().front().name == "b.txt");
    CHECK(!fs::exists(folder / "store.partial"));
    tests::write_text(folder / "mine/letter", "dear");
    options.out = folder / "mine";
    CHECK(message_of(options).find("it is a folder with other contents") != std::string::npos);
    options.out = folder / "mine/letter";
    CHECK(message_of(options).find("something else than a folder stands there") != std::string::npos);
    CHECK(tests::read_text(folder / "mine/letter") == "dear");
    fs::create_directories(folder / "ready");
    options.out = folder / "ready";
    CHECK_NOTHROW(data::prepare(options));
}

TEST_CASE("what a killed prepare left goes, and one that still runs is not disturbed") {
    tests::TemporaryFolder folder;
    tests::write_text(folder / "store.partial/train-00000.u8", "stale");
    tests::prepare_text(folder / "store", "text");
    CHECK_NOTHROW(TokenStore(folder / "store"));
    fs::create_directories(folder / "two.partial");
    int other = open((folder / "two.partial").c_str(), O_RDONLY | O_DIRECTORY);
    REQUIRE(flock(other, LOCK_EX) == 0);
    CHECK(message_of({.paths = {folder / "store.txt"}, .out = folder / "two"}).find("another program writes") != std::string::npos);
    close(other);
    CHECK(message_of({.paths = {folder / "store.txt"}, .out = folder / "two"}) == "no error");
}

TEST_CASE("an output below the input is no input") {
    tests::TemporaryFolder folder;
    tests::write_text(folder / "in/a.txt", "text");
    PrepareOptions options{.paths = {folder / "in"}, .out = folder / "in/store", .replace = true};
    data::prepare(options);
    std::map<std::string, std::string> first = files_of(folder / "in/store");
    data::prepare(options);
    CHECK(files_of(folder / "in/store") == first);
}

TEST_CASE("98 novels from a packed archive come back to the byte (skipped where MOEGRAD_DATA is unset)") {
    const char* root = std::getenv("MOEGRAD_DATA");
    if (root == nullptr) {
        MESSAGE("skipped: MOEGRAD_DATA is unset");
        return;
    }
    tests::TemporaryFolder folder;
    data::Manifest manifest = data::prepare({.paths = {fs::path(root) / "novels-en-98/novels-en-98.tar.zst"}, .out = folder / "store"});
    TokenStore store(folder / "store");
    std::int64_t bytes = 0, documents = 0;
    for (const data::SplitTotals& totals : manifest.splits) {
        bytes += totals.bytes;
        documents += totals.documents;
    }
    CHECK(documents == 98);
    CHECK(std::abs(static_cast<double>(manifest.splits[1].bytes) / static_cast<double>(bytes) - 0.05) < 0.01);
    CHECK(std::abs(static_cast<double>(manifest.splits[2].bytes) / static_cast<double>(bytes) - 0.05) < 0.01);
    std::string command = "tar -C " + folder.path().string() + " -xf " + root + "/novels-en-98/novels-en-98.tar.zst";
    if (std::system(command.c_str()) != 0) {
        MESSAGE("skipped: tar reads no zstd here");
        return;
    }
    for (const data::Document& document : store.documents()) {
        bool equal = text_of(store, document) == tests::read_text(folder / document.name);
        CHECK_MESSAGE(equal, document.name);
    }
}
