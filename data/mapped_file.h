#pragma once
#include <cstdint>
#include <filesystem>

namespace data {

// A file's bytes, readable in place; pages come from the disk when they are touched.
class MappedFile {
  public:
    explicit MappedFile(const std::filesystem::path& path);
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&&) = delete;
    ~MappedFile();

    const char* data() const { return data_; }
    std::int64_t bytes() const { return bytes_; }
    // Pages that were touched need not stay in memory; what is read later comes from the disk again.
    void let_go() const;

  private:
    const char* data_ = nullptr;
    std::int64_t bytes_ = 0;
};

}  // namespace data
