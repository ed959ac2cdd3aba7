#include "data/tokenizer.h"

#include "data/error.h"
#include "tests/support/text_files.h"

#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

using nlohmann::json;

namespace {

data::SeenBytes seen_in(const std::string& text) {
    data::SeenBytes seen{};
    for (char byte : text) seen[static_cast<unsigned char>(byte)] = true;
    return seen;
}

}  // namespace

TEST_CASE("bytes: the id is the byte, and all 256 are there") {
    auto tokenizer = data::make_tokenizer("bytes", {});
    CHECK(tokenizer->vocab() == 256);
    CHECK(!tokenizer->separator());
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
    std::vector<std::int32_t> ids = tokenizer->encode(all);
    for (int byte = 0; byte < 256; ++byte) CHECK(ids[static_cast<std::size_t>(byte)] == byte);
    CHECK(tokenizer->decode(ids) == all);
}

TEST_CASE("bytes-seen: ids are ranks among the bytes that occur, and the table survives") {
    std::string text = "banana \xff\n";
    auto made = data::make_tokenizer("bytes-seen", seen_in(text));
    CHECK(made->vocab() == 6);
    CHECK(made->encode("\n abn\xff") == std::vector<std::int32_t>{0, 1, 2, 3, 4, 5});
    auto loaded = data::load_tokenizer(json::parse(made->description().dump()), "", "here");
    CHECK(loaded->name() == "bytes-seen");
    CHECK(loaded->encode(text) == made->encode(text));
    CHECK(loaded->decode(made->encode(text)) == text);
}

TEST_CASE("an encoder takes a document in pieces") {
    std::string text = tests::some_bytes(1009);
    for (const std::string& name : data::tokenizer_names()) {
        auto tokenizer = data::make_tokenizer(name, seen_in(text));
        for (std::size_t piece : {1, 2, 100}) {
            std::vector<std::int32_t> ids;
            auto encoder = tokenizer->encoder();
            for (std::size_t at = 0; at < text.size(); at += piece) encoder->encode(std::string_view(text).substr(at, piece), ids);
            encoder->finish(ids);
            CHECK(ids == tokenizer->encode(text));
            CHECK(tokenizer->decode(ids) == text);
        }
    }
}

TEST_CASE("bytes that were not seen and ids that do not exist are errors") {
    auto tokenizer = data::make_tokenizer("bytes-seen", seen_in("abc"));
    CHECK_THROWS_WITH(tokenizer->encode("abd"),
                      "[bytes-seen] a byte that the prepared text does not hold: got 0x64; hint: --tokenizer bytes takes any byte");
    CHECK_THROWS_WITH(tokenizer->decode(std::vector<std::int32_t>{0, 3}), "[bytes-seen] id outside the vocabulary: got 3, expected 0 to 2");
    CHECK_THROWS_AS(tokenizer->decode(std::vector<std::int32_t>{-1}), data::Error);
    CHECK_THROWS_AS(data::make_tokenizer("bytes-seen", {}), data::Error);
    CHECK_THROWS_WITH(data::make_tokenizer("gpt3", {}), "[tokenizer] unknown tokenizer: got gpt3, expected bytes or bytes-seen");
}

TEST_CASE("a damaged description of a tokenizer is an error") {
    for (std::string text : {"3", "{}", R"({"name":"bytes"})", R"({"name":"bytes","vocab":255})", R"({"name":"none","vocab":256})",
                             R"({"name":3,"vocab":256})", R"({"name":"bytes-seen","vocab":2})",
                             R"({"name":"bytes-seen","vocab":2,"bytes":[98,97]})", R"({"name":"bytes-seen","vocab":2,"bytes":[97,97]})",
                             R"({"name":"bytes-seen","vocab":2,"bytes":[97,256]})", R"({"name":"bytes-seen","vocab":2,"bytes":[97,"b"]})",
                             R"({"name":"bytes-seen","vocab":3,"bytes":[97,98]})", R"({"name":"bytes-seen","vocab":0,"bytes":[]})"}) {
        INFO(text);
        CHECK_THROWS_AS(data::load_tokenizer(json::parse(text), "", "here"), data::Error);
    }
}
