#include "data/byte_source.h"

#include "data/error.h"
#include "tests/support/packing.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_files.h"

#include <doctest/doctest.h>

namespace {

std::string unpacked(const std::filesystem::path& path, std::size_t piece = 1 << 16) {
    std::unique_ptr<data::ByteSource> source = data::open_unpacked(path);
    std::string text;
    std::vector<char> block(piece);
    while (std::size_t got = source->read(block.data(), block.size())) text.append(block.data(), got);
    return text;
}

std::string prose(std::size_t count) {
    std::string text;
    while (text.size() < count) text += "sentence " + std::to_string(text.size()) + " of a text that packs well; ";
    return text.substr(0, count);
}

}  // namespace

TEST_CASE("files come back as they are, packed or not, whatever the size of the pieces") {
    tests::TemporaryFolder folder;
    std::string text = prose(300'001) + tests::some_bytes(10'007);
    tests::write_text(folder / "a.txt", text);
    tests::write_text(folder / "a.zst", tests::zstd_packed(text));
    tests::write_text(folder / "a.gz", tests::gzip_packed(text));
    tests::write_text(folder / "a.dict.dz", tests::gzip_packed(text));
    for (const char* name : {"a.txt", "a.zst", "a.gz", "a.dict.dz"}) {
        for (std::size_t piece : {std::size_t{17}, std::size_t{4096}, std::size_t{1} << 20}) CHECK(unpacked(folder / name, piece) == text);
    }
}

TEST_CASE("several frames or members are one text; a frame of nothing is nothing") {
    tests::TemporaryFolder folder;
    std::string a = prose(70'001), b = prose(5), none;
    tests::write_text(folder / "a.zst", tests::zstd_packed(a) + tests::zstd_packed(none) + tests::zstd_packed(b));
    tests::write_text(folder / "a.gz", tests::gzip_packed(a) + tests::gzip_packed(none) + tests::gzip_packed(b) + std::string(600, '\0'));
    tests::write_text(folder / "none.zst", tests::zstd_packed(none));
    tests::write_text(folder / "none.gz", tests::gzip_packed(none));
    CHECK(unpacked(folder / "a.zst") == a + b);
    CHECK(unpacked(folder / "a.gz") == a + b);
    CHECK(unpacked(folder / "none.zst").empty());
    CHECK(unpacked(folder / "none.gz").empty());
}

TEST_CASE("a zstd window of 128 MiB is read, a larger one is an error that says what to do") {
    tests::TemporaryFolder folder;
    std::string text = prose(100'000);
    tests::write_text(folder / "a.zst", tests::zstd_packed(text, 27));
    tests::write_text(folder / "b.zst", tests::zstd_packed(text, 28));
    CHECK(unpacked(folder / "a.zst") == text);
    CHECK_THROWS_WITH(unpacked(folder / "b.zst"), ("[zstd] " + (folder / "b.zst").string() +
                                                   " needs a window above 128 MiB; hint: pack it again with zstd --long=27 or less")
                                                      .c_str());
}

TEST_CASE("a packed file that is cut anywhere is an error that says so") {
    tests::TemporaryFolder folder;
    std::string text = prose(2'000);
    for (std::string name : {"a.zst", "a.gz"}) {
        std::string packed = name == "a.zst" ? tests::zstd_packed(text) : tests::gzip_packed(text);
        for (std::size_t size = 0; size < packed.size(); ++size) {
            tests::write_text(folder / name, packed.substr(0, size));
            std::string message;
            try {
                unpacked(folder / name);
            } catch (const data::Error& error) { message = error.what(); }
            INFO(name << " " << size << ": " << message);
            CHECK(message.find((folder / name).string()) != std::string::npos);
            CHECK(message.find(size == 0 ? "is empty" : "is truncated") != std::string::npos);
        }
    }
}

TEST_CASE("a packed file with a changed byte is an error, and so is one that is not packed at all") {
    tests::TemporaryFolder folder;
    std::string text = prose(2'000);
    for (std::string name : {"a.zst", "a.gz"}) {
        std::string packed = name == "a.zst" ? tests::zstd_packed(text) : tests::gzip_packed(text);
        int silent = 0;
        for (std::size_t at = 0; at < packed.size(); ++at) {
            std::string damaged = packed;
            damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
            tests::write_text(folder / name, damaged);
            try {
                // Bytes of the header that describe no text (gzip's time stamp and system) may change; the text never does.
                silent += unpacked(folder / name) == text;
            } catch (const data::Error&) { continue; }
        }
        INFO(name);
        CHECK(silent <= 8);
        tests::write_text(folder / name, "plain text that was never packed");
        CHECK_THROWS_AS(unpacked(folder / name), data::Error);
    }
}

TEST_CASE("a file that cannot be opened is an error that names it") {
    tests::TemporaryFolder folder;
    CHECK_THROWS_WITH(data::open_file(folder / "none"),
                      ("[file] cannot read " + (folder / "none").string() + ": No such file or directory").c_str());
    CHECK_THROWS_AS(unpacked(folder.path()), data::Error);
}

TEST_CASE("the name of what a packed file holds has no packing") {
    CHECK(data::without_packing("a/b.txt.zst") == "a/b.txt");
    CHECK(data::without_packing("b.jsonl.gz") == "b.jsonl");
    CHECK(data::without_packing("gcide.dict.dz") == "gcide.dict");
    CHECK(data::without_packing("b.txt") == "b.txt");
}
