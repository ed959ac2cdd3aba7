#pragma once
// A folder of its own for one test, removed afterwards; in memory where the system has such a place, so that syncing costs nothing.
#include <cstdlib>
#include <filesystem>
#include <string>

#include <unistd.h>

namespace tests {

class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::filesystem::path memory = "/dev/shm";
        auto root = access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
        std::string pattern = (root / "moegrad-test-XXXXXX").string();
        path_ = mkdtemp(pattern.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace tests
