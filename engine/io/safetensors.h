#pragma once
// The safetensors format: 8 bytes of header length, a JSON header, the tensors' bytes, row-major without padding.
// https://github.com/huggingface/safetensors, "Format". Every malformed file is one error that names the file and, where there is one, the
// tensor.
#include "engine/tensor/tensor.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace engine::io {

class AtomicFile;

// A tensor as the header describes it. `dtype` is the header's word; `begin`, `end` are offsets in the data that follow the header.
struct TensorEntry {
    std::string name;
    std::string dtype;
    std::vector<Size> shape;
    Size begin = 0;
    Size end = 0;
    Size bytes() const { return end - begin; }
};

class SafetensorsFile {
  public:
    // Reads and checks the whole header; tensors are read when asked for.
    static SafetensorsFile open(const std::filesystem::path& path);
    ~SafetensorsFile();
    SafetensorsFile(SafetensorsFile&& other) noexcept;
    SafetensorsFile& operator=(SafetensorsFile&&) = delete;

    // Sorted.
    std::vector<std::string> names() const;
    bool contains(const std::string& name) const { return entries_.contains(name); }
    const TensorEntry& entry(const std::string& name) const;
    Shape shape(const std::string& name) const;
    // F32, F64, BF16, I32 or I64 as they are; F16 as f32. Throws for the others.
    Dtype dtype(const std::string& name) const;
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    const std::string& path() const { return path_; }

    // T is float, double (from F32, F64, BF16, F16) or int32_t, int64_t (from I32, I64; values out of range throw).
    template <class T>
    std::vector<T> read(const std::string& name, const std::optional<Shape>& expected = {}) const;
    // The tensor on the exec's device; floating dtypes convert, integer dtypes convert.
    Tensor read_tensor(const Exec& exec, const std::string& name, Dtype dtype, const std::optional<Shape>& expected = {}) const;

  private:
    SafetensorsFile() = default;
    std::vector<char> bytes_of(const TensorEntry& entry) const;

    std::string path_;
    int descriptor_ = -1;
    Size data_start_ = 0;
    std::map<std::string, TensorEntry> entries_;
    std::map<std::string, std::string> metadata_;
};

// Gathers tensors, then writes them: one tensor's bytes in memory at a time, the file whole or not at all.
class SafetensorsWriter {
  public:
    // T is float, double, bf16, int32_t or int64_t; stored as it is.
    template <class T>
    void add(std::string name, const Shape& shape, std::vector<T> values);
    // Shares the tensor's memory until write().
    void add(std::string name, const Exec& exec, const Tensor& tensor);
    void set_metadata(std::string key, std::string value) { metadata_[std::move(key)] = std::move(value); }
    void write(const std::filesystem::path& path) const;

  private:
    struct Item {
        Dtype dtype = Dtype::f32;
        Shape shape;
        std::function<void(AtomicFile&)> write;
    };
    void insert(std::string name, Item item);

    std::map<std::string, Item> items_;
    std::map<std::string, std::string> metadata_;
};

}  // namespace engine::io
