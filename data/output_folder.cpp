#include "data/output_folder.h"

#include "data/error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace data {
namespace {

constexpr std::size_t kWriteBlock = 1 << 20;

[[noreturn]] void fail_with_errno(const char* action, const std::string& path) {
    int code = errno;
    fail("file", "cannot {} {}: {}", action, path, std::strerror(code));
}

int open_folder(const fs::path& folder) { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

void sync_folder(const fs::path& folder) {
    int descriptor = open_folder(folder);
    if (descriptor < 0) fail_with_errno("open", folder.string());
    // Some file systems cannot sync a folder and say EINVAL; their renames are as safe as they get.
    bool failed = ::fsync(descriptor) != 0 && errno != EINVAL;
    int code = errno;
    ::close(descriptor);
    errno = code;
    if (failed) fail_with_errno("sync", folder.string());
}

fs::path above(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

}  // namespace

OutputFolder::OutputFolder(fs::path path) : path_(path.has_filename() ? std::move(path) : path.parent_path()) {
    partial_ = path_.string() + ".partial";
    for (fs::path folder = above(path_); !folder.empty() && !fs::exists(folder); folder = folder.parent_path()) made_.push_back(folder);
    std::error_code code;
    fs::create_directories(partial_, code);
    expect(!code, "file", "cannot make the folder {}: {}", partial_.string(), code.message());
    lock_ = open_folder(partial_);
    if (lock_ < 0) fail_with_errno("open", partial_.string());
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
        ::close(lock_);
        fail("file", "another program writes {} at this moment; hint: wait for it, or give another --out", path_.string());
    }
    for (const auto& entry : fs::directory_iterator(partial_)) fs::remove_all(entry.path());
}

OutputFolder::~OutputFolder() {
    std::error_code ignored;
    if (!committed_) {
        fs::remove_all(partial_, ignored);
        for (const fs::path& folder : made_) fs::remove(folder, ignored);  // only where it is empty
    }
    ::close(lock_);
}

void OutputFolder::commit() {
    sync_folder(partial_);
    if (fs::exists(path_)) {
        // The swap leaves no moment without a folder; where the file system has no swap, the old one steps aside first.
        if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) != 0) {
            fs::path old = path_.string() + ".old.partial";
            std::error_code ignored;
            fs::remove_all(old, ignored);
            if (::rename(path_.c_str(), old.c_str()) != 0) fail_with_errno("replace", path_.string());
            if (::rename(partial_.c_str(), path_.c_str()) != 0) fail_with_errno("replace", path_.string());
            if (::rename(old.c_str(), partial_.c_str()) != 0) fail_with_errno("remove", old.string());
        }
        committed_ = true;
        sync_folder(above(path_));
        std::error_code code;
        fs::remove_all(partial_, code);
        expect(!code, "file", "cannot remove {}: {}", partial_.string(), code.message());
        return;
    }
    if (::rename(partial_.c_str(), path_.c_str()) != 0) fail_with_errno("make the folder", path_.string());
    committed_ = true;
    sync_folder(above(path_));
}

OutputFile::OutputFile(const fs::path& path)
    : path_(path.string()), descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0) fail_with_errno("write", path_);
    waiting_.reserve(kWriteBlock);
}

OutputFile::~OutputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFile::write(const void* bytes, std::size_t count) {
    hash_.add(bytes, count);
    bytes_ += static_cast<std::int64_t>(count);
    const char* at = static_cast<const char*>(bytes);
    while (count > 0) {
        std::size_t taken = std::min(count, kWriteBlock - waiting_.size());
        waiting_.insert(waiting_.end(), at, at + taken);
        at += taken;
        count -= taken;
        if (waiting_.size() == kWriteBlock) flush();
    }
}

void OutputFile::flush() {
    const char* at = waiting_.data();
    for (std::size_t left = waiting_.size(); left > 0;) {
        ssize_t written = ::write(descriptor_, at, left);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) fail_with_errno("write", path_);
        at += written;
        left -= static_cast<std::size_t>(written);
    }
    waiting_.clear();
}

void OutputFile::close() {
    flush();
    if (::fsync(descriptor_) != 0 && errno != EINVAL) fail_with_errno("sync", path_);
    if (::close(std::exchange(descriptor_, -1)) != 0) fail_with_errno("write", path_);
}

}  // namespace data
