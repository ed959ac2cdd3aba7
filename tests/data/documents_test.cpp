#include "data/documents.h"

#include "data/error.h"
#include "tests/support/messages.h"
#include "tests/support/packing.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_files.h"

#include <cstdlib>

#include <doctest/doctest.h>

using Documents = std::vector<std::pair<std::string, std::string>>;  // name, text

namespace {

class Collect final : public data::DocumentSink {
  public:
    void begin(const std::string& name) override { documents.emplace_back(name, ""); }
    void text(std::string_view piece) override {
        CHECK(!piece.empty());
        documents.back().second += piece;
    }
    void end() override { ++ended; }

    Documents documents;
    std::size_t ended = 0;
};

Documents read(const std::vector<std::filesystem::path>& paths) {
    Collect sink;
    for (const data::SourceFile& file : data::find_files(paths)) data::read_documents(file, sink);
    CHECK(sink.ended == sink.documents.size());
    return sink.documents;
}

Documents read_text(const std::filesystem::path& path, const std::string& contents) {
    tests::write_text(path, contents);
    return read({path});
}

std::string message_of(const std::filesystem::path& path, const std::string& contents) {
    return tests::message_of<data::Error>([&] { read_text(path, contents); });
}

}  // namespace

TEST_CASE("a folder's files are documents with relative names, sorted, without hidden ones") {
    tests::TemporaryFolder folder;
    for (const char* name : {"b.txt", "a/z", "a/b/c.md", ".git/config", "a/.hidden", "c d.txt", "ä.txt"}) {
        tests::write_text(folder / "in" / name, std::string("text of ") + name);
    }
    tests::write_text(folder / "in/empty", "");
    tests::write_text(folder / "in/a/packed.txt.gz", tests::gzip_packed("packed"));
    std::filesystem::create_symlink("b.txt", folder / "in/link");
    Documents expected{{"a/b/c.md", "text of a/b/c.md"}, {"a/packed.txt.gz", ""},   {"a/z", "text of a/z"},    {"b.txt", "text of b.txt"},
                       {"c d.txt", "text of c d.txt"},   {"link", "text of b.txt"}, {"ä.txt", "text of ä.txt"}};
    expected[1] = {"a/packed.txt", "packed"};
    CHECK(read({folder / "in"}) == expected);
    CHECK(read({folder / "in/"}) == expected);
}

TEST_CASE("the order of the paths does not matter") {
    tests::TemporaryFolder folder;
    for (const char* name : {"x/b.txt", "y/a.txt", "c.txt"}) tests::write_text(folder / name, name);
    Documents expected{{"a.txt", "y/a.txt"}, {"b.txt", "x/b.txt"}, {"c.txt", "c.txt"}};
    CHECK(read({folder / "x", folder / "y", folder / "c.txt"}) == expected);
    CHECK(read({folder / "c.txt", folder / "y", folder / "x"}) == expected);
}

TEST_CASE("what is no file and no folder is named") {
    tests::TemporaryFolder folder;
    CHECK_THROWS_WITH(read({folder / "none"}),
                      ("[prepare] there is no " + (folder / "none").string() + ": expected a file or a folder").c_str());
    CHECK_THROWS_AS(read({folder.path()}), data::Error);
    CHECK_THROWS_AS(read({"/dev/null"}), data::Error);
    std::filesystem::create_symlink("nowhere", folder / "dangling");
    CHECK_THROWS_AS(read({folder.path()}), data::Error);
    CHECK_THROWS_AS(read({folder / "dangling"}), data::Error);
}

TEST_CASE("lines of JSON are documents named by file and line") {
    tests::TemporaryFolder folder;
    std::string lines =
        "{\"text\": \"first\\nline \\u00e4\"}\n"
        "\n"
        "{\"meta\": {\"text\": \"not this\", \"list\": [1, {\"text\": 2}]}, \"text\": \"second\"}\r\n"
        "{\"text\": \"\"}\n"
        "{\"a\": [\"text\", null, true, -1.5e3], \"text\": \"last\"}";
    Documents expected{{"n.jsonl:1", "first\nline ä"}, {"n.jsonl:3", "second"}, {"n.jsonl:5", "last"}};
    CHECK(read_text(folder / "n.jsonl", lines) == expected);
    CHECK(read_text(folder / "n.jsonl", lines + "\n") == expected);
    CHECK(read_text(folder / "n.jsonl.gz", tests::gzip_packed(lines)) == expected);
    CHECK(read_text(folder / "n.jsonl.zst", tests::zstd_packed(lines)) == expected);
    CHECK(read_text(folder / "c4.json.gz", tests::gzip_packed("{\"text\":\"x\"}\n")) == Documents{{"c4.json:1", "x"}});
    CHECK(read_text(folder / "one.json", "{\"text\":\"x\"}\n") == Documents{{"one.json", "{\"text\":\"x\"}\n"}});
}

TEST_CASE("a line of JSON may be longer than any buffer") {
    tests::TemporaryFolder folder;
    std::string text(3'000'001, 'x');
    Documents documents = read_text(folder / "n.jsonl", "{\"text\":\"" + text + "\"}\n{\"text\":\"y\"}\n");
    CHECK(documents == Documents{{"n.jsonl:1", text}, {"n.jsonl:2", "y"}});
}

TEST_CASE("a line that is no JSON, or has no text, is named") {
    tests::TemporaryFolder folder;
    std::string where = (folder / "n.jsonl").string();
    CHECK(message_of(folder / "n.jsonl", "{\"text\":\"x\"}\n{\"text\":").starts_with("[jsonl] " + where + ":2 is no JSON"));
    CHECK(message_of(folder / "n.jsonl", "{\"text\":\"\xff\"}\n").starts_with("[jsonl] " + where + ":1 is no JSON"));
    CHECK(message_of(folder / "n.jsonl", "{\"text\":\"x\"} {}\n").starts_with("[jsonl] " + where + ":1 is no JSON"));
    for (std::string line :
         {"{}", "[]", "3", "\"text\"", "{\"text\":3}", "{\"text\":[\"x\"]}", "[{\"text\":\"x\"}]", "{\"a\":{\"text\":\"x\"}}"}) {
        INFO(line);
        CHECK(message_of(folder / "n.jsonl", line).starts_with("[jsonl] " + where + ":1 has no string \"text\""));
    }
}

TEST_CASE("an archive's regular members are documents; folders, links and hidden members are not") {
    tests::TemporaryFolder folder;
    std::string large = tests::some_bytes(600'001);
    std::string tar = tests::tar_member("./a/", "", '5') + tests::tar_member("./a/one.txt", "one") + tests::tar_member("a/link", "", '2') +
                      tests::tar_member("./._one.txt", "hidden") + tests::tar_member(".git/x", "hidden") + tests::tar_member("empty", "") +
                      tests::tar_member("b/./b", std::string(512, 'b')) + tests::tar_member("large", large) + tests::tar_end();
    Documents expected{{"a/one.txt", "one"}, {"b/./b", std::string(512, 'b')}, {"large", large}};
    CHECK(read_text(folder / "x.tar", tar) == expected);
    CHECK(read_text(folder / "x.tar.zst", tests::zstd_packed(tar)) == expected);
    CHECK(read_text(folder / "x.tar.gz", tests::gzip_packed(tar)) == expected);
    CHECK(read_text(folder / "x.tgz", tests::gzip_packed(tar)) == expected);
}

TEST_CASE("archives of the system's tar are read in each of its formats, long names included") {
    tests::TemporaryFolder folder;
    std::string part(60, 'p'), name(120, 'n');
    std::vector<std::string> names{"short.txt", part + "/" + part + "/" + std::string(70, 'u')};
    for (std::string kind : {"v7", "ustar", "gnu", "pax"}) {
        std::filesystem::remove_all(folder / "in");
        Documents expected;
        for (std::string member : names) {
            if (kind == "v7" && member.size() > 99) continue;
            expected.emplace_back(member, "text of " + member);
        }
        if (kind == "gnu" || kind == "pax") expected.emplace_back(part + "/" + name + "/ä", "long");
        for (const auto& [member, text] : expected) tests::write_text(folder / "in" / member, text);
        std::string command =
            "tar --format=" + kind + " --sort=name -cf " + (folder / "x.tar").string() + " -C " + (folder / "in").string() + " .";
        REQUIRE(std::system(command.c_str()) == 0);
        Documents documents = read({folder / "x.tar"});
        std::sort(documents.begin(), documents.end());
        std::sort(expected.begin(), expected.end());
        INFO(kind);
        CHECK(documents == expected);
    }
}

TEST_CASE("an archive's sizes may be binary, or stand in an extended header") {
    tests::TemporaryFolder folder;
    std::string text = tests::some_bytes(70'001), rest = tests::tar_member("b", "b") + tests::tar_end();
    std::string binary = tests::tar_member("a", text);
    binary.replace(124, 12, std::string("\x80\0\0\0\0\0\0\0\0\x01\x11\x71", 12));  // 70'001
    tests::seal_tar_header(binary);
    CHECK(read_text(folder / "x.tar", binary + rest) == Documents{{"a", text}, {"b", "b"}});
    std::string extended = tests::tar_member("a", text);
    extended.replace(124, 11, "00000000000");
    tests::seal_tar_header(extended);
    CHECK(read_text(folder / "x.tar", tests::tar_member("x", "14 size=70001\n", 'x') + extended + rest) ==
          Documents{{"a", text}, {"b", "b"}});
    std::string huge = tests::tar_member("a", text);
    huge.replace(124, 12, "\xff" + std::string(11, '\xff'));
    tests::seal_tar_header(huge);
    CHECK(message_of(folder / "x.tar", huge + rest).find("member 1 has no size") != std::string::npos);
}

TEST_CASE("an archive that is cut anywhere is an error that says so") {
    tests::TemporaryFolder folder;
    std::string tar = tests::tar_member("a", std::string(700, 'a')) + tests::tar_member("b", "b");
    for (std::size_t size = 0; size <= tar.size(); size += 128) {
        INFO(size);
        CHECK(message_of(folder / "x.tar", tar.substr(0, size)).find("is truncated") != std::string::npos);
    }
}

TEST_CASE("a damaged archive is an error that says where") {
    tests::TemporaryFolder folder;
    std::string good = tests::tar_member("a", "a") + tests::tar_member("b", "b") + tests::tar_end();
    std::string damaged = good;
    damaged[1024 + 5] = 'x';
    CHECK(message_of(folder / "x.tar", damaged) ==
          "[tar] " + (folder / "x.tar").string() + " is damaged: the header of member 2 has a wrong checksum");
    CHECK(message_of(folder / "x.tar", "this is no archive").find("is truncated") != std::string::npos);
    CHECK(message_of(folder / "x.tar", std::string(2000, 'x')).find("wrong checksum") != std::string::npos);
    CHECK(message_of(folder / "x.tar", tests::tar_member("x", "99 path=a\n", 'x') + good).find("broken extended header") !=
          std::string::npos);
    CHECK(message_of(folder / "x.tar", tests::tar_member("x", "a", 'S') + good).find("sparse") != std::string::npos);
    CHECK(message_of(folder / "x.tar", tests::tar_member("x", "22 GNU.sparse.major=1\n", 'x') + good).find("sparse") != std::string::npos);
    // A packed archive whose end is damaged behind the closing record.
    std::string packed = tests::gzip_packed(good);
    packed[packed.size() - 6] = static_cast<char>(packed[packed.size() - 6] ^ 1);
    CHECK(message_of(folder / "x.tar.gz", packed).find("is damaged") != std::string::npos);
}
