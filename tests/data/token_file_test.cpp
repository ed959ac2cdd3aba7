#include "data/token_file.h"

#include "data/error.h"
#include "data/store_writer.h"
#include "data/xxh64.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_files.h"

#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

namespace {

// Two bytes a token, big-endian, whatever the vocabulary; a byte that is left over stands alone. Holds a byte back between pieces.
class PairTokenizer final : public data::Tokenizer {
  public:
    explicit PairTokenizer(std::int32_t vocab) : vocab_(vocab) {}

    std::string name() const override { return "pairs"; }
    std::int32_t vocab() const override { return vocab_; }
    std::optional<std::int32_t> separator() const override { return vocab_ - 1; }
    std::unique_ptr<data::Encoder> encoder() const override {
        class Pairs final : public data::Encoder {
          public:
            void encode(std::string_view piece, std::vector<std::int32_t>& ids) override {
                for (char byte : piece) {
                    auto value = static_cast<unsigned char>(byte);
                    if (held_ >= 0) ids.push_back(held_ * 256 + value);
                    held_ = held_ >= 0 ? -1 : value;
                }
            }
            void finish(std::vector<std::int32_t>& ids) override {
                if (held_ >= 0) ids.push_back(held_);
                held_ = -1;
            }

          private:
            std::int32_t held_ = -1;
        };
        return std::make_unique<Pairs>();
    }
    void decode(std::span<const std::int32_t>, std::string&) const override {}
    nlohmann::json description() const override { return {{"name", name()}, {"vocab", vocab_}}; }

  private:
    std::int32_t vocab_;
};

}  // namespace

TEST_CASE("tokens of 2 and 4 bytes come back, separators between documents, shards full but the last") {
    for (std::int32_t vocab : {256, 65536, 65537, 1 << 20}) {
        tests::TemporaryFolder folder;
        PairTokenizer tokenizer(vocab);
        data::OutputFolder out(folder / "store");
        data::StoreWriter writer(out, tokenizer, 3);
        std::vector<std::string> texts{"\x01\x02\x03", std::string("\0\0\0\1", 4), "\x05"};
        if (vocab == 256) texts = {"\x05", "\x06", "\x07", "\x08"};
        std::vector<std::int32_t> expected;
        for (const std::string& text : texts) {
            if (!expected.empty()) expected.push_back(vocab - 1);
            for (std::int32_t id : tokenizer.encode(text)) expected.push_back(id);
            writer.begin(data::SplitId::valid, "x");
            for (char byte : text) writer.text({&byte, 1});
            writer.end();
        }
        data::Manifest manifest = writer.finish("as told");
        CHECK(manifest.token_bytes == (vocab <= 256 ? 1 : vocab <= 65536 ? 2 : 4));
        CHECK(manifest.splits[1].tokens == static_cast<std::int64_t>(expected.size()));
        CHECK(manifest.splits[1].documents == static_cast<std::int64_t>(texts.size()));
        CHECK(manifest.splits[1].bytes == (vocab == 256 ? 4 : 8));
        CHECK(manifest.splits[0].tokens == 0);
        REQUIRE(manifest.shards(data::SplitId::valid) == static_cast<std::int64_t>(expected.size() + 2) / 3);
        std::vector<std::int32_t> read;
        for (std::int64_t shard = 0; shard < manifest.shards(data::SplitId::valid); ++shard) {
            std::string name = manifest.shard_name(data::SplitId::valid, shard);
            data::TokenFile file(out.partial() / name, manifest.token_bytes);
            std::int64_t tokens = file.bytes() / manifest.token_bytes;
            CHECK(manifest.files.at(name).bytes == file.bytes());
            data::TokenFile::Contents contents = file.contents();
            CHECK(contents.checksum == manifest.files.at(name).checksum);
            CHECK(contents.checksum == data::xxh64(tests::read_text(out.partial() / name)));
            std::size_t first = read.size();
            read.resize(first + static_cast<std::size_t>(tokens));
            for (std::int64_t i = 0; i < tokens; ++i) file.read(i, 1, read.data() + first + i);
            CHECK(contents.largest ==
                  static_cast<std::uint32_t>(*std::max_element(read.begin() + static_cast<std::ptrdiff_t>(first), read.end())));
        }
        CHECK(read == expected);
    }
}

TEST_CASE("a shard longer than a block is read whole") {
    tests::TemporaryFolder folder;
    std::string bytes = tests::some_bytes(1'000'004);
    tests::write_text(folder / "t.u32", bytes);
    data::TokenFile file(folder / "t.u32", 4);
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 4) {
        std::uint32_t word = 0;
        std::memcpy(&word, bytes.data() + i, 4);
        largest = std::max(largest, word);
    }
    CHECK(file.contents().checksum == data::xxh64(bytes));
    CHECK(file.contents().largest == largest);
    CHECK_THROWS_AS(data::TokenFile(folder / "none", 1), data::Error);
    tests::write_text(folder / "empty", "");
    CHECK(data::TokenFile(folder / "empty", 1).bytes() == 0);
}
