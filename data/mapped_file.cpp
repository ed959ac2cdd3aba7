#include "data/mapped_file.h"

#include "data/error.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace data {

MappedFile::MappedFile(const std::filesystem::path& path) {
    int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail("store", "cannot read {}: {}", path.string(), std::strerror(errno));
    struct stat status {};
    int code = ::fstat(descriptor, &status) != 0 ? errno : 0;
    if (code == 0 && status.st_size > 0) {
        void* mapped = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_SHARED, descriptor, 0);
        if (mapped == MAP_FAILED) {
            code = errno;
        } else {
            data_ = static_cast<const char*>(mapped);
            bytes_ = status.st_size;
        }
    }
    ::close(descriptor);
    expect(code == 0, "store", "cannot map {}: {}", path.string(), std::strerror(code));
}

MappedFile::MappedFile(MappedFile&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

void MappedFile::let_go() const {
    if (data_ != nullptr) ::madvise(const_cast<char*>(data_), static_cast<std::size_t>(bytes_), MADV_DONTNEED);
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<char*>(data_), static_cast<std::size_t>(bytes_));
}

}  // namespace data
