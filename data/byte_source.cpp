#include "data/byte_source.h"

#include "data/error.h"

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <unistd.h>

namespace data {
namespace {

class FileSource final : public ByteSource {
  public:
    FileSource(const fs::path& path, OnRead on_read) : path_(path.string()), on_read_(std::move(on_read)) {
        descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
        if (descriptor_ < 0) fail("file", "cannot read {}: {}", path_, std::strerror(errno));
        ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    ~FileSource() override { ::close(descriptor_); }

    std::size_t read(char* to, std::size_t count) override {
        ssize_t got;
        do { got = ::read(descriptor_, to, count); } while (got < 0 && errno == EINTR);
        if (got < 0) fail("file", "cannot read {}: {}", path_, std::strerror(errno));
        if (on_read_) on_read_(got);
        return static_cast<std::size_t>(got);
    }

  private:
    std::string path_;
    OnRead on_read_;
    int descriptor_;
};

enum class Packing { none, zstd, gzip };

Packing packing_of(const std::string& name) {
    if (name.ends_with(".zst")) return Packing::zstd;
    return name.ends_with(".gz") || name.ends_with(".dz") ? Packing::gzip : Packing::none;
}

}  // namespace

std::unique_ptr<ByteSource> open_file(const fs::path& path, OnRead on_read) {
    return std::make_unique<FileSource>(path, std::move(on_read));
}

std::unique_ptr<ByteSource> open_unpacked(const fs::path& path, OnRead on_read) {
    std::unique_ptr<ByteSource> file = open_file(path, std::move(on_read));
    switch (packing_of(path.filename().string())) {
        case Packing::zstd:
            return unpack_zstd(std::move(file), path);
        case Packing::gzip:
            return unpack_gzip(std::move(file), path);
        case Packing::none:
            break;
    }
    return file;
}

std::string without_packing(const std::string& name) { return packing_of(name) == Packing::none ? name : name.substr(0, name.rfind('.')); }

std::size_t read_fully(ByteSource& source, char* to, std::size_t count) {
    std::size_t done = 0;
    while (done < count) {
        std::size_t got = source.read(to + done, count - done);
        if (got == 0) break;
        done += got;
    }
    return done;
}

}  // namespace data
