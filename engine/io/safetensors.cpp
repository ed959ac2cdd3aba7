#include "engine/io/safetensors.h"

#include "engine/base/error.h"
#include "engine/io/safetensors_header.h"
#include "engine/tensor/transfer.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace engine::io {
namespace {

constexpr std::string_view kOp = "safetensors";
constexpr std::uint64_t kMostHeaderBytes = 100'000'000;

void read_at(int descriptor, const std::string& path, char* to, std::size_t count, Size offset) {
    while (count > 0) {
        ssize_t got = ::pread(descriptor, to, count, offset);
        if (got < 0 && errno == EINTR) continue;
        expect(got >= 0, kOp, "cannot read {}: {}", path, std::strerror(errno));
        expect(got > 0, kOp, "{}: the file became shorter while it was read", path);
        to += got;
        offset += got;
        count -= static_cast<std::size_t>(got);
    }
}

float half_to_float(std::uint16_t half) {
    std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16, exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
    if (exponent > 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
    float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -value : value;
}

template <class From, class To, class Convert>
std::vector<To> converted(const std::vector<char>& bytes, Convert&& convert) {
    std::vector<To> values(bytes.size() / sizeof(From));
    for (std::size_t i = 0; i < values.size(); ++i) {
        From value;
        std::memcpy(&value, bytes.data() + i * sizeof(From), sizeof(From));
        values[i] = convert(value);
    }
    return values;
}

std::string shape_text(const std::vector<Size>& sizes) { return fmt::format("({})", fmt::join(sizes, ", ")); }

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
    SafetensorsFile file;
    file.path_ = path.string();
    file.descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    expect(file.descriptor_ >= 0, kOp, "cannot read {}: {}", file.path_, std::strerror(errno));
    struct stat status {};
    expect(::fstat(file.descriptor_, &status) == 0 && S_ISREG(status.st_mode), kOp, "cannot read {}: it is no regular file", file.path_);
    expect(status.st_size >= 8, kOp, "{}: shorter than the 8 bytes of a header length: got {} bytes", file.path_, status.st_size);
    std::uint64_t length = 0;
    read_at(file.descriptor_, file.path_, reinterpret_cast<char*>(&length), 8, 0);
    expect(length <= kMostHeaderBytes, kOp, "{}: header length too large: got {} bytes, expected at most {}", file.path_, length,
           kMostHeaderBytes);
    file.data_start_ = 8 + static_cast<Size>(length);
    expect(file.data_start_ <= status.st_size, kOp,
           "{}: the header reaches beyond the file: got {} bytes, expected at least {}; hint: is it cut?", file.path_, status.st_size,
           file.data_start_);
    std::string text(length, '\0');
    read_at(file.descriptor_, file.path_, text.data(), text.size(), 8);
    SafetensorsHeader header = parse_safetensors_header(file.path_, text, status.st_size - file.data_start_);
    file.entries_ = std::move(header.entries);
    file.metadata_ = std::move(header.metadata);
    return file;
}

SafetensorsFile::~SafetensorsFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      data_start_(other.data_start_),
      entries_(std::move(other.entries_)),
      metadata_(std::move(other.metadata_)) {}

std::vector<std::string> SafetensorsFile::names() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_) names.push_back(name);
    return names;
}

const TensorEntry& SafetensorsFile::entry(const std::string& name) const {
    auto found = entries_.find(name);
    expect(found != entries_.end(), kOp, "{}: no tensor {} in the file", path_, name_text(name));
    return found->second;
}

Shape SafetensorsFile::shape(const std::string& name) const {
    const TensorEntry& found = entry(name);
    expect(found.shape.size() <= Shape::kMaxDims, kOp, "{}: tensor {}: too many dimensions: got {}, expected at most {}", path_,
           name_text(name), found.shape.size(), Shape::kMaxDims);
    Shape shape;
    for (Size size : found.shape) shape.append(size);
    return shape;
}

Dtype SafetensorsFile::dtype(const std::string& name) const {
    const std::string& word = entry(name).dtype;
    if (word == "F32" || word == "F16") return Dtype::f32;
    if (word == "F64") return Dtype::f64;
    if (word == "BF16") return Dtype::bf16;
    if (word == "I32") return Dtype::i32;
    if (word == "I64") return Dtype::i64;
    fail(kOp, "{}: tensor {}: dtype {} is not supported; hint: store it as F32, F64, BF16, F16, I32 or I64", path_, name_text(name), word);
}

std::vector<char> SafetensorsFile::bytes_of(const TensorEntry& entry) const {
    std::vector<char> bytes(static_cast<std::size_t>(entry.bytes()));
    read_at(descriptor_, path_, bytes.data(), bytes.size(), data_start_ + entry.begin);
    return bytes;
}

template <class T>
std::vector<T> SafetensorsFile::read(const std::string& name, const std::optional<Shape>& expected) const {
    const TensorEntry& found = entry(name);
    if (expected) {
        bool equal = static_cast<int>(found.shape.size()) == expected->dims();
        for (int i = 0; equal && i < expected->dims(); ++i) equal = found.shape[static_cast<std::size_t>(i)] == (*expected)[i];
        expect(equal, kOp, "{}: tensor {}: wrong shape: got {}, expected {}", path_, name_text(name), shape_text(found.shape),
               expected->text());
    }
    Dtype stored = dtype(name);
    expect(is_floating(stored) == std::is_floating_point_v<T>, kOp, "{}: tensor {}: wrong dtype: got {}, expected {}", path_,
           name_text(name), found.dtype, std::is_floating_point_v<T> ? "a floating one" : "I32 or I64");
    std::vector<char> bytes = bytes_of(found);
    if constexpr (std::is_floating_point_v<T>) {
        if (found.dtype == "F64") return converted<double, T>(bytes, [](double value) { return static_cast<T>(value); });
        if (found.dtype == "F32") return converted<float, T>(bytes, [](float value) { return static_cast<T>(value); });
        if (found.dtype == "BF16") return converted<bf16, T>(bytes, [](bf16 value) { return static_cast<T>(to_float(value)); });
        return converted<std::uint16_t, T>(bytes, [](std::uint16_t value) { return static_cast<T>(half_to_float(value)); });
    } else {
        if (found.dtype == "I32") return converted<std::int32_t, T>(bytes, [](std::int32_t value) { return static_cast<T>(value); });
        return converted<std::int64_t, T>(bytes, [&](std::int64_t value) {
            if (!std::in_range<T>(value)) {
                fail(kOp, "{}: tensor {}: a value does not fit 32 bits: got {}", path_, name_text(name), value);
            }
            return static_cast<T>(value);
        });
    }
}

Tensor SafetensorsFile::read_tensor(const Exec& exec, const std::string& name, Dtype wanted, const std::optional<Shape>& expected) const {
    Shape size = expected ? *expected : shape(name);
    if (wanted == Dtype::f64) return from_host(exec, size, wanted, read<double>(name, expected));
    if (is_floating(wanted)) return from_host(exec, size, wanted, read<float>(name, expected));
    if (wanted == Dtype::i32) return from_host(exec, size, wanted, read<std::int32_t>(name, expected));
    return from_host(exec, size, wanted, read<std::int64_t>(name, expected));
}

template std::vector<float> SafetensorsFile::read(const std::string&, const std::optional<Shape>&) const;
template std::vector<double> SafetensorsFile::read(const std::string&, const std::optional<Shape>&) const;
template std::vector<std::int32_t> SafetensorsFile::read(const std::string&, const std::optional<Shape>&) const;
template std::vector<std::int64_t> SafetensorsFile::read(const std::string&, const std::optional<Shape>&) const;

}  // namespace engine::io
