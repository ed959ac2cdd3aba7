#include "engine/io/atomic_file.h"

#include "engine/base/error.h"
#include "engine/io/manifest.h"
#include "engine/io/safetensors.h"
#include "tests/support/full_disk.h"
#include "tests/support/temporary_folder.h"

#include <doctest/doctest.h>

using namespace engine;
namespace fs = std::filesystem;

TEST_CASE("an atomic file appears at commit and not before; without a commit nothing stays") {
    tests::TemporaryFolder folder;
    {
        io::AtomicFile file(folder / "a");
        file.write("half");
        CHECK(!fs::exists(folder / "a"));
    }
    CHECK(fs::is_empty(folder.path()));
    io::write_file(folder / "a", "first");
    io::write_file(folder / "a", "second");
    CHECK(io::read_file(folder / "a") == "second");
    CHECK(!fs::exists(folder / "a.partial"));
}

TEST_CASE("a full disk is an error that names the file, keeps the old one and leaves nothing behind") {
    tests::TemporaryFolder folder;
    io::write_file(folder / "a", "old");
    io::SafetensorsWriter writer;
    writer.add<float>("x", {100000}, std::vector<float>(100000));
    {
        tests::FullDisk full(4096);
        CHECK_THROWS_WITH(writer.write(folder / "a"), ("[file] cannot write " + (folder / "a").string() + ": File too large").c_str());
    }
    CHECK(io::read_file(folder / "a") == "old");
    CHECK(!fs::exists(folder / "a.partial"));
    CHECK_THROWS_AS(io::write_file(folder / "no/such/folder", "x"), Error);
    CHECK_THROWS_AS(io::write_file(folder.path(), "x"), Error);
}

TEST_CASE("an atomic folder replaces the one before and stale partial ones go") {
    tests::TemporaryFolder folder;
    for (const char* text : {"one", "two"}) {
        io::AtomicFolder made(folder / "step-1/");
        io::write_file(made.partial() / "state", text);
        made.commit();
        CHECK(io::read_file(folder / "step-1/state") == text);
    }
    { io::AtomicFolder dropped(folder / "step-2"); }
    CHECK(!fs::exists(folder / "step-2.partial"));
    fs::create_directories(folder / "step-3.partial/deep");
    io::write_file(folder / "b.partial", "x");
    io::remove_partials(folder.path());
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("a manifest names the file that is damaged, cut, missing or extra") {
    tests::TemporaryFolder folder;
    io::write_file(folder / "weights", "abcdef");
    io::write_file(folder / "state", "");
    io::write_manifest(folder.path());
    io::verify_manifest(folder.path());
    auto error = [&] {
        try {
            io::verify_manifest(folder.path());
            return std::string("no error");
        } catch (const Error& caught) { return std::string(caught.what()); }
    };
    io::write_file(folder / "weights", "abcdeg");
    CHECK(error().find("weights is damaged: got checksum") != std::string::npos);
    io::write_file(folder / "weights", "abc");
    CHECK(error().find("weights is damaged: got 3 bytes, expected 6") != std::string::npos);
    fs::remove(folder / "weights");
    CHECK(error().find("weights is missing") != std::string::npos);
    io::write_file(folder / "weights", "abcdef");
    io::write_file(folder / "extra", "x");
    CHECK(error().find("extra is not listed") != std::string::npos);
    io::write_file(folder / "manifest.json", "{");
    CHECK(error().find("manifest.json is damaged") != std::string::npos);
    CHECK(io::fnv1a("a") == 0xaf63dc4c8601ec8cu);
}
