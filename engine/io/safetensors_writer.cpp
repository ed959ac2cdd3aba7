#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/safetensors.h"
#include "engine/io/safetensors_header.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace engine::io {
namespace {

using nlohmann::json;

const char* stored_name(Dtype dtype) {
    switch (dtype) {
        case Dtype::f32:
            return "F32";
        case Dtype::f64:
            return "F64";
        case Dtype::bf16:
            return "BF16";
        case Dtype::i32:
            return "I32";
        case Dtype::i64:
            return "I64";
    }
    return "F32";
}

template <class T>
void write_values(AtomicFile& file, const std::vector<T>& values) {
    file.write(values.data(), values.size() * sizeof(T));
}

void write_tensor(AtomicFile& file, const Exec& exec, const Tensor& tensor) {
    switch (tensor.dtype()) {
        case Dtype::f32:
            return write_values(file, to_host<float>(exec, tensor));
        case Dtype::f64:
            return write_values(file, to_host<double>(exec, tensor));
        case Dtype::i32:
            return write_values(file, to_host<std::int32_t>(exec, tensor));
        case Dtype::i64:
            return write_values(file, to_host<std::int64_t>(exec, tensor));
        case Dtype::bf16:
            break;
    }
    std::vector<float> wide = to_host<float>(exec, tensor);
    std::vector<bf16> values(wide.size());
    std::transform(wide.begin(), wide.end(), values.begin(), to_bf16);
    write_values(file, values);
}

}  // namespace

void SafetensorsWriter::insert(std::string name, Item item) {
    expect(name != "__metadata__", "safetensors", "a tensor may not be called __metadata__");
    expect(items_.try_emplace(name, std::move(item)).second, "safetensors", "tensor {} is added twice", name_text(name));
}

template <class T>
void SafetensorsWriter::add(std::string name, const Shape& shape, std::vector<T> values) {
    expect(static_cast<Size>(values.size()) == shape.elements(), "safetensors",
           "tensor {}: number of values does not fit: got {}, expected {} for {}", name_text(name), values.size(), shape.elements(),
           shape.text());
    insert(std::move(name), {dtype_of<T>(), shape, [values = std::move(values)](AtomicFile& file) { write_values(file, values); }});
}

void SafetensorsWriter::add(std::string name, const Exec& exec, const Tensor& tensor) {
    insert(std::move(name), {tensor.dtype(), tensor.shape(), [exec, tensor](AtomicFile& file) { write_tensor(file, exec, tensor); }});
}

void SafetensorsWriter::write(const std::filesystem::path& path) const {
    // Wide elements first keep every tensor aligned; within a width by name. The header is sorted by name.
    std::vector<std::pair<std::string, const Item*>> order;
    for (const auto& [name, item] : items_) order.emplace_back(name, &item);
    std::stable_sort(order.begin(), order.end(),
                     [](const auto& a, const auto& b) { return element_bytes(a.second->dtype) > element_bytes(b.second->dtype); });
    json header = json::object();
    if (!metadata_.empty()) header["__metadata__"] = metadata_;
    Size offset = 0;
    for (const auto& [name, item] : order) {
        json sizes = json::array();
        for (int i = 0; i < item->shape.dims(); ++i) sizes.push_back(item->shape[i]);
        Size end = offset + item->shape.elements() * element_bytes(item->dtype);
        header[name] = {{"dtype", stored_name(item->dtype)}, {"shape", sizes}, {"data_offsets", {offset, end}}};
        offset = end;
    }
    std::string text = header.dump(-1, ' ', true, json::error_handler_t::replace);
    text.resize((text.size() + 7) / 8 * 8, ' ');
    std::uint64_t length = text.size();
    AtomicFile file(path);
    file.write(&length, sizeof length);
    file.write(text);
    for (const auto& [name, item] : order) item->write(file);
    file.commit();
}

template void SafetensorsWriter::add(std::string, const Shape&, std::vector<float>);
template void SafetensorsWriter::add(std::string, const Shape&, std::vector<double>);
template void SafetensorsWriter::add(std::string, const Shape&, std::vector<bf16>);
template void SafetensorsWriter::add(std::string, const Shape&, std::vector<std::int32_t>);
template void SafetensorsWriter::add(std::string, const Shape&, std::vector<std::int64_t>);

}  // namespace engine::io
