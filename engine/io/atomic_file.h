#pragma once
// Files and folders that appear whole or not at all: written under NAME.partial, synced, renamed, and the folder around them synced.
// A full disk or a failing write throws, and nothing is left behind.
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace engine::io {

namespace fs = std::filesystem;

inline constexpr std::string_view kPartial = ".partial";

class AtomicFile {
  public:
    explicit AtomicFile(fs::path path);
    // Removes the partial file unless it was committed.
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(const void* bytes, std::size_t count);
    void write(std::string_view text) { write(text.data(), text.size()); }
    // The file stands under its own name when this returns, also after a power cut.
    void commit();

  private:
    fs::path path_, partial_;
    int descriptor_ = -1;
};

class AtomicFolder {
  public:
    // Makes PATH.partial, empty; a stale one is removed.
    explicit AtomicFolder(fs::path path);
    // Removes the partial folder unless it was committed.
    ~AtomicFolder();
    AtomicFolder(const AtomicFolder&) = delete;
    AtomicFolder& operator=(const AtomicFolder&) = delete;

    // Where the contents are written until commit.
    const fs::path& partial() const { return partial_; }
    // Syncs every file inside and renames; a folder that stood there before is replaced.
    void commit();

  private:
    fs::path path_, partial_;
    bool committed_ = false;
};

void write_file(const fs::path& path, std::string_view text);
// The whole file; throws where there is none.
std::string read_file(const fs::path& path);
// Removes everything named *.partial directly in the folder: what a killed program left.
void remove_partials(const fs::path& folder);
void sync_folder(const fs::path& folder);

}  // namespace engine::io
