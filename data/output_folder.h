#pragma once
// A folder that appears whole or not at all: written under NAME.partial, synced, renamed.
#include "data/xxh64.h"

#include <filesystem>
#include <string>
#include <vector>

namespace data {

namespace fs = std::filesystem;

class OutputFolder {
  public:
    // Makes PATH.partial, empty; what a killed program left there is removed, and a program that still writes there is an error.
    explicit OutputFolder(fs::path path);
    // Unless it was committed, removes the partial folder and the folders made for it.
    ~OutputFolder();
    OutputFolder(const OutputFolder&) = delete;
    OutputFolder& operator=(const OutputFolder&) = delete;

    const fs::path& path() const { return path_; }
    // Where the files are written until commit.
    const fs::path& partial() const { return partial_; }
    // Syncs the folder, whose files are synced already, and renames it; a folder that stood there before is replaced.
    void commit();

  private:
    fs::path path_, partial_;
    std::vector<fs::path> made_;  // folders above it that were missing, innermost first
    int lock_ = -1;
    bool committed_ = false;
};

// A new file that is written once, front to back, its checksum formed on the way.
class OutputFile {
  public:
    explicit OutputFile(const fs::path& path);
    ~OutputFile();
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    // Throws where the disk does not take the bytes.
    void write(const void* bytes, std::size_t count);
    // The file is on the disk when this returns.
    void close();
    std::int64_t bytes() const { return bytes_; }
    std::uint64_t checksum() const { return hash_.digest(); }

  private:
    void flush();

    std::string path_;
    int descriptor_;
    std::vector<char> waiting_;
    std::int64_t bytes_ = 0;
    Xxh64 hash_;
};

}  // namespace data
