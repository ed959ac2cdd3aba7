#include "data/token_store.h"

#include "data/error.h"
#include "data/xxh64.h"
#include "tests/support/messages.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_files.h"

#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

using data::TokenStore;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::vector<std::int32_t> ids_of(const data::Split& split, std::int64_t first, std::int64_t count) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
    split.read(first, count, ids.data());
    return ids;
}

std::string text_of(const TokenStore& store, std::string_view split) {
    return store.tokenizer().decode(ids_of(store.split(split), 0, store.split(split).tokens()));
}

std::string message_of(const fs::path& folder) {
    return tests::message_of<data::Error>([&] { TokenStore store(folder); });
}

// Rewrites the manifest, with a checksum of its own that fits.
template <class Change>
void change_manifest(const fs::path& folder, Change&& change) {
    json manifest = json::parse(tests::read_text(folder / "manifest.json"));
    change(manifest);
    manifest.erase("xxh64");
    manifest["xxh64"] = data::hex_of(data::xxh64(manifest.dump()));
    tests::write_text(folder / "manifest.json", manifest.dump(2));
}

}  // namespace

TEST_CASE("a store gives the text back to the byte, from one shard or many") {
    tests::TemporaryFolder folder;
    std::string text = tests::some_bytes(10'007);
    for (const char* tokenizer : {"bytes", "bytes-seen"}) {
        for (std::int64_t shard : {std::int64_t{1} << 28, std::int64_t{1000}, std::int64_t{9006}, std::int64_t{97}}) {
            fs::path path = folder / (tokenizer + std::to_string(shard));
            data::Manifest manifest = tests::prepare_text(path, text, tokenizer, shard);
            TokenStore store(path);
            CHECK(text_of(store, "train") + text_of(store, "valid") + text_of(store, "test") == text);
            const data::Split& train = store.split("train");
            CHECK(train.bytes() == manifest.splits[0].bytes);
            CHECK(train.tokens() == train.bytes());
            CHECK(train.documents() == 1);
            std::vector<std::int32_t> all = ids_of(train, 0, train.tokens());
            bool equal = true;
            for (std::int64_t first : {0, 1, 96, 97, 998, 1000, 5000, 9000}) {
                for (std::int64_t count : {0, 1, 5, 97, 1001, 4000}) {
                    if (first + count > train.tokens()) continue;
                    equal =
                        equal && ids_of(train, first, count) == std::vector<std::int32_t>(all.begin() + first, all.begin() + first + count);
                }
            }
            CHECK(equal);
            CHECK_THROWS_AS(ids_of(train, train.tokens(), 1), data::Error);
            CHECK_THROWS_AS(ids_of(train, -1, 1), data::Error);
        }
    }
}

TEST_CASE("the index says where each document lies") {
    tests::TemporaryFolder folder;
    std::string lines;
    for (int i = 0; i < 100; ++i)
        lines += "{\"text\": \"" + std::string(static_cast<std::size_t>(i % 7 + 1), 'x') + " y " + std::to_string(i) + "\"}\n";
    tests::write_text(folder / "n.jsonl", lines);
    data::prepare({.paths = {folder / "n.jsonl"}, .out = folder / "store"});
    TokenStore store(folder / "store");
    std::vector<data::Document> documents = store.documents();
    REQUIRE(documents.size() == 100);
    std::array<std::int64_t, 3> next{};
    for (std::size_t i = 0; i < 100; ++i) {
        const data::Document& document = documents[i];
        std::string expected = std::string(i % 7 + 1, 'x') + " y " + std::to_string(i);
        const data::Split& split = store.split(data::kSplitNames[static_cast<std::size_t>(document.split)]);
        CHECK(document.name == "n.jsonl:" + std::to_string(i + 1));
        CHECK(document.first == next[static_cast<std::size_t>(document.split)]);
        CHECK(document.bytes == static_cast<std::int64_t>(expected.size()));
        CHECK(store.tokenizer().decode(ids_of(split, document.first, document.tokens)) == expected);
        next[static_cast<std::size_t>(document.split)] += document.tokens;
    }
    CHECK(store.split("train").words() + store.split("valid").words() + store.split("test").words() == 300);
}

TEST_CASE("what is no store says so") {
    tests::TemporaryFolder folder;
    CHECK(message_of(folder / "none") ==
          "[store] there is no folder " + (folder / "none").string() + "; hint: moegrad prepare makes it from text");
    CHECK(message_of(folder.path()).find("is no store of tokens: it has no manifest.json") != std::string::npos);
    tests::write_text(folder / "manifest.json", "{\"files\": {}}");
    CHECK(message_of(folder.path()).find("is no store of tokens: expected \"format\"") != std::string::npos);
    tests::write_text(folder / "manifest.json", "{\"files\": ");
    CHECK(message_of(folder.path()).find("is no JSON object") != std::string::npos);
    tests::write_text(folder / "file", "x");
    CHECK(message_of(folder / "file").starts_with("[store] there is no folder"));
    tests::prepare_text(folder / "store", "some text of a store");
    CHECK_THROWS_WITH(TokenStore(folder / "store").split("dev"), "[store] unknown split: got dev, expected train, valid or test");
}

TEST_CASE("every byte that changes, every file that is cut, longer or missing is one error that names the file") {
    tests::TemporaryFolder folder;
    fs::path store = folder / "store";
    tests::prepare_text(store, std::string(200, 'a') + "bcd", "bytes-seen", 100);
    for (const auto& entry : fs::directory_iterator(store)) {
        std::string good = tests::read_text(entry.path()), name = entry.path().filename().string();
        auto refused = [&] {
            std::string message = message_of(store);
            INFO(name << ": " << message);
            CHECK(message.starts_with("["));
            CHECK(message.find('\n') == std::string::npos);
            // A damaged manifest may look as if another file were wrong, or as if it were none.
            if (name != "manifest.json") CHECK(message.find(entry.path().string()) != std::string::npos);
            return message != "no error";
        };
        for (std::size_t at = 0; at < good.size(); ++at) {
            std::string damaged = good;
            damaged[at] = static_cast<char>(damaged[at] ^ 0x01);
            // White space between the manifest's members means nothing.
            if (name == "manifest.json" && json::parse(damaged, nullptr, false) == json::parse(good)) continue;
            tests::write_text(entry.path(), damaged);
            CHECK(refused());
        }
        tests::write_text(entry.path(), good.substr(0, good.size() / 2));
        CHECK(refused());
        tests::write_text(entry.path(), "");
        CHECK(refused());
        if (name != "manifest.json") {
            tests::write_text(entry.path(), good + "x");
            CHECK(refused());
        }
        fs::remove(entry.path());
        CHECK(refused());
        tests::write_text(entry.path(), good);
        CHECK(message_of(store) == "no error");
    }
}

TEST_CASE("sizes alone are checked where that was asked for") {
    tests::TemporaryFolder folder;
    fs::path store = folder / "store";
    tests::prepare_text(store, std::string(200, 'a'));
    std::string shard = tests::read_text(store / "train-00000.u8");
    shard[7] = 'b';
    tests::write_text(store / "train-00000.u8", shard);
    CHECK_NOTHROW(TokenStore(store, data::Verify::sizes));
    CHECK_THROWS_AS(TokenStore(store, data::Verify::checksums), data::Error);
    tests::write_text(store / "train-00000.u8", shard + "b");
    CHECK_THROWS_AS(TokenStore(store, data::Verify::sizes), data::Error);
}

TEST_CASE("a manifest that fits its own checksum but contradicts the files or itself is refused") {
    tests::TemporaryFolder folder;
    fs::path store = folder / "store";
    tests::prepare_text(store, std::string(200, 'a') + "bcd", "bytes-seen", 100);
    std::string good = tests::read_text(store / "manifest.json");
    std::vector<std::pair<std::string, std::function<void(json&)>>> changes{
        {"another version", [](json& m) { m["version"] = 2; }},
        {"no tokenizer", [](json& m) { m.erase("tokenizer"); }},
        {"an unknown tokenizer", [](json& m) { m["tokenizer"]["name"] = "gpt5"; }},
        {"another vocabulary", [](json& m) { m["tokenizer"]["vocab"] = 5; }},
        {"ids outside the vocabulary",
         [](json& m) {
             m["tokenizer"] = {{"name", "bytes-seen"}, {"vocab", 3}, {"bytes", {97, 98, 99}}};
         }},
        {"wider tokens", [](json& m) { m["token_bytes"] = 2; }},
        {"tokens of three bytes", [](json& m) { m["token_bytes"] = 3; }},
        {"empty shards", [](json& m) { m["shard_tokens"] = 0; }},
        {"larger shards", [](json& m) { m["shard_tokens"] = 101; }},
        {"a text for a count", [](json& m) { m["splits"]["train"]["tokens"] = "182"; }},
        {"a negative count", [](json& m) { m["splits"]["train"]["bytes"] = -1; }},
        {"a huge count", [](json& m) { m["splits"]["train"]["tokens"] = std::uint64_t{1} << 63; }},
        {"more tokens", [](json& m) { m["splits"]["train"]["tokens"] = 183; }},
        {"fewer tokens", [](json& m) { m["splits"]["train"]["tokens"] = 100; }},
        {"more shards", [](json& m) { m["splits"]["train"]["tokens"] = 1'000'000'000; }},
        {"no test split", [](json& m) { m["splits"].erase("test"); }},
        {"splits that are a list", [](json& m) { m["splits"] = json::array(); }},
        {"no index", [](json& m) { m["files"].erase("documents.jsonl"); }},
        {"a checksum that is no number", [](json& m) { m["files"]["documents.jsonl"]["xxh64"] = "0123456789abcdeg"; }},
        {"another checksum", [](json& m) { m["files"]["train-00000.u8"]["xxh64"] = "0123456789abcdef"; }},
        {"another size", [](json& m) { m["files"]["train-00000.u8"]["bytes"] = 99; }},
    };
    for (const auto& [what, change] : changes) {
        change_manifest(store, change);
        std::string message = message_of(store);
        INFO(what << ": " << message);
        CHECK(message.starts_with("["));
        tests::write_text(store / "manifest.json", good);
    }
    change_manifest(store, [](json&) {});
    CHECK(message_of(store) == "no error");
}
