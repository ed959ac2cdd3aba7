#pragma once
// Files read piece by piece; what is compressed is unpacked on the way.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

namespace data {

namespace fs = std::filesystem;

// Told how many more bytes were read from the disk; may throw to stop.
using OnRead = std::function<void(std::int64_t)>;

inline constexpr std::size_t kBlock = 1 << 18;

class ByteSource {
  public:
    virtual ~ByteSource() = default;
    // Up to `count` bytes; 0 only at the end. Throws where the file cannot be read or is damaged.
    virtual std::size_t read(char* to, std::size_t count) = 0;
};

// The bytes of a file as they are.
std::unique_ptr<ByteSource> open_file(const fs::path& path, OnRead on_read = {});
// zstd, one or more frames, windows of up to 128 MiB. `path` is named in errors.
std::unique_ptr<ByteSource> unpack_zstd(std::unique_ptr<ByteSource> packed, const fs::path& path);
// gzip, one or more members.
std::unique_ptr<ByteSource> unpack_gzip(std::unique_ptr<ByteSource> packed, const fs::path& path);

// By the name's end: .zst; .gz and dictzip's .dz; anything else as it is.
std::unique_ptr<ByteSource> open_unpacked(const fs::path& path, OnRead on_read = {});
// "a.txt.zst" -> "a.txt".
std::string without_packing(const std::string& name);

// Reads exactly `count` bytes where there are as many; less only at the end.
std::size_t read_fully(ByteSource& source, char* to, std::size_t count);

}  // namespace data
