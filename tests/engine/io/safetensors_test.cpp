#include "engine/io/safetensors.h"

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/messages.h"
#include "tests/support/random.h"
#include "tests/support/temporary_folder.h"

#include <cmath>
#include <limits>

using namespace engine;
using engine::io::SafetensorsFile;
using engine::io::SafetensorsWriter;

namespace {

// The bytes of a file with this header and this many bytes of data.
std::string file_of(const std::string& header, std::size_t data_bytes) {
    std::uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(data_bytes, '\1');
}

std::string error_of(const std::string& bytes) {
    tests::TemporaryFolder folder;
    auto path = folder / "x.safetensors";
    io::write_file(path, bytes);
    std::string message = tests::message_of<Error>([&] { SafetensorsFile::open(path); });
    if (message == "no error") return message;
    CHECK(message.find(path.string()) != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.starts_with("[safetensors] "));
    return message;
}

void check_error(const std::string& header, std::size_t data_bytes, const std::string& part) {
    std::string text = error_of(file_of(header, data_bytes));
    INFO(header, " gave: ", text);
    CHECK(text.find(part) != std::string::npos);
}

std::string small_file() {
    tests::TemporaryFolder folder;
    SafetensorsWriter writer;
    writer.add<float>("a", {2, 3}, {1, 2, 3, 4, 5, 6});
    writer.add<std::int64_t>("b", {2}, {-1, 7});
    writer.set_metadata("format", "pt");
    writer.write(folder / "x");
    return io::read_file(folder / "x");
}

}  // namespace

TEST_CASE("safetensors: every dtype comes back with the bits that were written, NaN and infinities too") {
    tests::TemporaryFolder folder;
    float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
    SafetensorsWriter writer;
    writer.add<float>("f32", {2, 2}, {nan, -infinity, -0.0f, 1e-45f});
    writer.add<double>("f64", {3}, {0.1, -1e300, std::numeric_limits<double>::infinity()});
    writer.add<bf16>("bf16", {2}, {to_bf16(1.5f), to_bf16(nan)});
    writer.add<std::int32_t>("i32", {1}, {-5});
    writer.add<std::int64_t>("i64", {1}, {std::int64_t{1} << 40});
    writer.add<float>("none", {0, 7}, {});
    writer.add<float>("scalar", {}, {2.5f});
    writer.set_metadata("made by", "a test");
    writer.write(folder / "x");
    auto file = SafetensorsFile::open(folder / "x");
    CHECK(file.names() == std::vector<std::string>{"bf16", "f32", "f64", "i32", "i64", "none", "scalar"});
    CHECK(file.metadata().at("made by") == "a test");
    auto f32 = file.read<float>("f32", Shape{2, 2});
    CHECK(std::isnan(f32[0]));
    CHECK(f32[1] == -infinity);
    CHECK(std::signbit(f32[2]));
    CHECK(f32[3] == 1e-45f);
    CHECK(file.read<double>("f64") == std::vector<double>{0.1, -1e300, std::numeric_limits<double>::infinity()});
    CHECK(file.read<float>("bf16")[0] == 1.5f);
    CHECK(std::isnan(file.read<double>("bf16")[1]));
    CHECK(file.read<std::int32_t>("i32")[0] == -5);
    CHECK(file.read<std::int64_t>("i64")[0] == std::int64_t{1} << 40);
    CHECK_THROWS_AS(file.read<std::int32_t>("i64"), Error);
    CHECK(file.read<float>("none", Shape{0, 7}).empty());
    CHECK(file.read<float>("scalar") == std::vector<float>{2.5f});
    std::string bytes = io::read_file(folder / "x");
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    CHECK(length % 8 == 0);
}

TEST_CASE("safetensors: F16 is read as the number it stands for") {
    tests::TemporaryFolder folder;
    std::string bytes = file_of(R"({"h":{"dtype":"F16","shape":[5],"data_offsets":[0,10]}})", 0);
    for (std::uint16_t half : std::initializer_list<std::uint16_t>{0x3c00, 0xc000, 0x0001, 0x7c00, 0x7bff})
        bytes.append(reinterpret_cast<const char*>(&half), 2);
    io::write_file(folder / "x", bytes);
    auto values = SafetensorsFile::open(folder / "x").read<float>("h");
    CHECK(values == std::vector<float>{1.0f, -2.0f, 0x1p-24f, std::numeric_limits<float>::infinity(), 65504.0f});
}

TEST_CASE_DEVICES("safetensors: a tensor with padded rows is stored without padding and comes back") {
    tests::TemporaryFolder folder;
    auto values = tests::random_values(3 * 13, 1);
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        Tensor tensor = from_host(exec, {3, 13}, dtype, values);
        REQUIRE(tensor.row_stride() == 16);
        SafetensorsWriter writer;
        writer.add("x", exec, tensor);
        writer.write(folder / "x");
        auto file = SafetensorsFile::open(folder / "x");
        CHECK(file.entry("x").bytes() == 3 * 13 * element_bytes(dtype));
        CHECK(file.dtype("x") == dtype);
        Tensor back = file.read_tensor(exec, "x", dtype, Shape{3, 13});
        CHECK(to_host<float>(exec, back) == to_host<float>(exec, tensor));
    }
}

TEST_CASE("safetensors: each malformed header is one error that says what is wrong") {
    auto tensor = [](const std::string& fields) { return "{\"w\":{" + fields + "}}"; };
    check_error("[]", 0, "brace");
    check_error("{\"w\":", 0, "not JSON");
    check_error("{\"w\":1e999}", 0, "not JSON");
    check_error("{\"\xff\":{}}", 0, "not JSON");
    check_error("{\"w\":3}", 0, "tensor \"w\"");
    check_error(tensor(R"("dtype":"F32","shape":[1])"), 4, "must give dtype");
    check_error(tensor(R"("dtype":"F33","shape":[1],"data_offsets":[0,4])"), 4, "unknown dtype: got \"F33\"");
    check_error(tensor(R"("dtype":7,"shape":[1],"data_offsets":[0,4])"), 4, "unknown dtype");
    check_error(tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4, "got -1");
    check_error(tensor(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])"), 4, "got 1.5");
    check_error(tensor(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])"), 4, "18446744073709551615");
    check_error(tensor(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4])"), 4, "too many elements");
    check_error(tensor(R"("dtype":"F32","shape":3,"data_offsets":[0,4])"), 4, "no list");
    check_error(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), 4, "no pair");
    check_error(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 4, "backwards");
    check_error(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4, "do not fit the shape: got 4 bytes, expected 8");
    check_error(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 4, "outside the file");
    check_error(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), 8, "a hole");
    check_error(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), 5, "do not cover");
    check_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12,
                "overlaps");
    check_error(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0,
                "\"a\" stands twice");
    check_error(R"({"a":{"dtype":"U8","dtype":"F32","shape":[0],"data_offsets":[0,0]}})", 0, "\"dtype\" stands twice");
    check_error(R"({"__metadata__":{"k":3}})", 0, "is no string");
    check_error(R"({"__metadata__":3})", 0, "no table");
    check_error(std::string(200000, '['), 0, "brace");
    check_error("{\"a\":" + std::string(200000, '['), 0, "not JSON");
    CHECK(error_of("").find("shorter than") != std::string::npos);
    CHECK(error_of(std::string(8, '\xff')).find("too large") != std::string::npos);
    CHECK(error_of(std::string("\x10\0\0\0\0\0\0\0{}", 10)).find("beyond the file") != std::string::npos);
    CHECK_THROWS_WITH(SafetensorsFile::open("/nowhere/x"), "[safetensors] cannot read /nowhere/x: No such file or directory");
    CHECK_THROWS_WITH(SafetensorsFile::open("/"), "[safetensors] cannot read /: it is no regular file");
}

TEST_CASE("safetensors: a file cut anywhere is an error") {
    std::string whole = small_file();
    for (std::size_t cut = 0; cut < whole.size(); ++cut) CHECK(error_of(whole.substr(0, cut)) != "no error");
    CHECK(error_of(whole) == "no error");
    CHECK(error_of(whole + "x") != "no error");
}

TEST_CASE("safetensors: a flipped bit in the header is an error or another valid file, never a crash") {
    std::string whole = small_file();
    std::size_t errors = 0, header_end = whole.size() - 6 * 4 - 2 * 8;
    for (std::size_t bit = 0; bit < header_end * 8; ++bit) {
        std::string broken = whole;
        broken[bit / 8] = static_cast<char>(broken[bit / 8] ^ (1 << (bit % 8)));
        errors += error_of(broken) != "no error";
    }
    CHECK(errors > header_end * 4);
}

TEST_CASE("safetensors: a missing tensor, a wrong shape and a dtype without support are named") {
    tests::TemporaryFolder folder;
    io::write_file(folder / "x", file_of(R"({"u":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]}})", 4));
    auto file = SafetensorsFile::open(folder / "x");
    std::string path = (folder / "x").string();
    CHECK_THROWS_WITH(file.read<float>("w"), ("[safetensors] " + path + ": no tensor \"w\" in the file").c_str());
    CHECK_THROWS_WITH(file.read<float>("u", Shape{4}),
                      ("[safetensors] " + path + ": tensor \"u\": wrong shape: got (2, 2), expected (4)").c_str());
    CHECK_THROWS_AS(file.read<float>("u"), Error);
    CHECK_THROWS_AS(file.read<std::int32_t>("u"), Error);
}
