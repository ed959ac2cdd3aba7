#pragma once
#include "data/mapped_file.h"

#include <cstdint>
#include <filesystem>

namespace data {

// A shard: unsigned numbers of 1, 2 or 4 bytes, little-endian, one after another.
class TokenFile {
  public:
    TokenFile(const std::filesystem::path& path, int token_bytes) : file_(path), token_bytes_(token_bytes) {}

    std::int64_t bytes() const { return file_.bytes(); }
    // Tokens first … first + count − 1, which must be there.
    void read(std::int64_t first, std::int64_t count, std::int32_t* ids) const;

    struct Contents {
        std::uint64_t checksum = 0;  // XXH64
        std::uint32_t largest = 0;
    };
    // Reads the whole file once.
    Contents contents() const;

  private:
    MappedFile file_;
    int token_bytes_;
};

}  // namespace data
