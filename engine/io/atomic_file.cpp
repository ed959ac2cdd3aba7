#include "engine/io/atomic_file.h"

#include "engine/base/error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace engine::io {
namespace {

[[noreturn]] void fail_with_errno(const char* action, const fs::path& path) {
    int code = errno;
    fail("file", "cannot {} {}: {}", action, path.string(), std::strerror(code));
}

// "a/b/" and "a/b" are one name.
fs::path without_trailing_slash(fs::path path) { return path.has_filename() ? path : path.parent_path(); }

fs::path partial_of(const fs::path& path) { return path.string() + std::string(kPartial); }

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

void sync_path(const fs::path& path, int flags) {
    int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
    if (descriptor < 0) fail_with_errno("open", path);
    // Some file systems cannot sync a folder and say EINVAL; their renames are as safe as they get.
    bool failed = ::fsync(descriptor) != 0 && errno != EINVAL;
    int code = errno;
    ::close(descriptor);
    errno = code;
    if (failed) fail_with_errno("sync", path);
}

void remove_tree(const fs::path& path) {
    std::error_code code;
    fs::remove_all(path, code);
    expect(!code, "file", "cannot remove {}: {}", path.string(), code.message());
}

void make_folders(const fs::path& path) {
    std::error_code code;
    fs::create_directories(path, code);
    expect(!code, "file", "cannot make the folder {}: {}", path.string(), code.message());
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)), partial_(partial_of(path_)) {
    expect(!fs::is_directory(path_), "file", "cannot write {}: it is a folder", path_.string());
    descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail_with_errno("write", path_);
}

AtomicFile::~AtomicFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(partial_.c_str());
}

void AtomicFile::write(const void* bytes, std::size_t count) {
    const char* at = static_cast<const char*>(bytes);
    while (count > 0) {
        ssize_t written = ::write(descriptor_, at, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) fail_with_errno("write", path_);
        at += written;
        count -= static_cast<std::size_t>(written);
    }
}

void AtomicFile::commit() {
    if (::fsync(descriptor_) != 0 && errno != EINVAL) fail_with_errno("sync", path_);
    int closed = ::close(std::exchange(descriptor_, -1));
    if (closed != 0 || ::rename(partial_.c_str(), path_.c_str()) != 0) {
        int code = errno;
        ::unlink(partial_.c_str());
        errno = code;
        fail_with_errno("write", path_);
    }
    sync_folder(folder_of(path_));
}

AtomicFolder::AtomicFolder(fs::path path) : path_(without_trailing_slash(std::move(path))), partial_(partial_of(path_)) {
    expect(!fs::exists(path_) || fs::is_directory(path_), "file", "cannot make the folder {}: a file stands there", path_.string());
    remove_tree(partial_);
    make_folders(partial_);
}

AtomicFolder::~AtomicFolder() {
    std::error_code ignored;
    if (!committed_) fs::remove_all(partial_, ignored);
}

void AtomicFolder::commit() {
    for (const auto& entry : fs::recursive_directory_iterator(partial_)) {
        sync_path(entry.path(), entry.is_directory() ? O_DIRECTORY : 0);
    }
    sync_folder(partial_);
    if (fs::exists(path_)) {
        // The swap leaves no moment without a folder; where the file system has no swap, the old one steps aside first.
        if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) {
            committed_ = true;
            sync_folder(folder_of(path_));
            return remove_tree(partial_);
        }
        fs::path old = path_.string() + ".old" + std::string(kPartial);
        remove_tree(old);
        if (::rename(path_.c_str(), old.c_str()) != 0) fail_with_errno("replace", path_);
        if (::rename(partial_.c_str(), path_.c_str()) != 0) fail_with_errno("replace", path_);
        committed_ = true;
        sync_folder(folder_of(path_));
        return remove_tree(old);
    }
    if (::rename(partial_.c_str(), path_.c_str()) != 0) fail_with_errno("make the folder", path_);
    committed_ = true;
    sync_folder(folder_of(path_));
}

void write_file(const fs::path& path, std::string_view text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

std::string read_file(const fs::path& path) {
    expect(!fs::is_directory(path), "file", "cannot read {}: it is a folder", path.string());
    int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail_with_errno("read", path);
    std::string text;
    char block[1 << 16];
    ssize_t count = 0;
    while ((count = ::read(descriptor, block, sizeof block)) > 0 || (count < 0 && errno == EINTR)) {
        if (count > 0) text.append(block, static_cast<std::size_t>(count));
    }
    int code = errno;
    ::close(descriptor);
    errno = code;
    if (count < 0) fail_with_errno("read", path);
    return text;
}

void remove_partials(const fs::path& folder) {
    if (!fs::is_directory(folder)) return;
    std::vector<fs::path> stale;
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().string().ends_with(kPartial)) stale.push_back(entry.path());
    }
    for (const auto& path : stale) remove_tree(path);
}

void sync_folder(const fs::path& folder) { sync_path(folder, O_DIRECTORY); }

}  // namespace engine::io
