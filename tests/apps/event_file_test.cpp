#include "apps/event_file.h"

#include "tests/support/temporary_folder.h"

#include <cstring>
#include <fstream>

#include <doctest/doctest.h>

TEST_CASE("an event file holds records whose checksums are those of TensorFlow's format") {
    tests::TemporaryFolder folder;
    { apps::EventFile(folder.path()).write(300, {{"loss", 1.5}}); }
    auto entry = *std::filesystem::directory_iterator(folder.path());
    CHECK(entry.path().filename().string().starts_with("events.out.tfevents."));
    std::ifstream in(entry.path(), std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), {}};
    // Length 24 = time (9) + version (15); its masked checksum as any TensorBoard log shows it.
    CHECK(bytes.substr(0, 12) == std::string("\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22", 12));
    CHECK(bytes.substr(21, 15) ==
          "\x1a\x0d"
          "brain.Event:2");
    // time, step 300, summary { value { tag "loss", simple_value 1.5 } }
    std::string second = bytes.substr(40 + 12);
    CHECK(second.substr(9, 3) == "\x10\xac\x02");
    CHECK(second.substr(12, 15) == std::string("\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\xc0\x3f", 15));
    CHECK(bytes.size() == 40 + 12 + 27 + 4);
}
