#include "engine/io/safetensors_header.h"

#include "engine/base/error.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace engine::io {
namespace {

using nlohmann::json;

constexpr std::string_view kOp = "safetensors";

// The parsed header; a name that stands twice in one object is an error, which the library alone would not notice.
json parse_json(const std::string& path, std::string_view text) {
    std::vector<std::set<std::string>> keys;
    auto watch = [&](int, json::parse_event_t event, json& value) {
        if (event == json::parse_event_t::object_start) keys.emplace_back();
        if (event == json::parse_event_t::object_end) keys.pop_back();
        if (event == json::parse_event_t::key) {
            std::string key = value.get<std::string>();
            expect(keys.back().insert(key).second, kOp, "{}: the name {} stands twice in the header", path, name_text(key));
        }
        return true;
    };
    try {
        return json::parse(text.begin(), text.end(), watch);
    } catch (const json::parse_error& error) {
        fail(kOp, "{}: the header is not JSON: wrong at byte {} of {}", path, error.byte, text.size());
    } catch (const json::exception&) { fail(kOp, "{}: the header is not JSON: a number is out of range", path); }
}

Size non_negative(const std::string& path, const std::string& name, const char* what, const json& value) {
    constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<Size>::max());
    expect(value.is_number_unsigned() && value.get<std::uint64_t>() <= kMost, kOp, "{}: tensor {}: {} is no whole number from 0: got {}",
           path, name_text(name), what, value.dump(-1, ' ', true).substr(0, 60));
    return static_cast<Size>(value.get<std::uint64_t>());
}

TensorEntry parse_entry(const std::string& path, const std::string& name, const json& value) {
    expect(value.is_object() && value.size() == 3 && value.contains("dtype") && value.contains("shape") && value.contains("data_offsets"),
           kOp, "{}: tensor {}: the header must give dtype, shape and data_offsets, nothing else", path, name_text(name));
    const json &dtype = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
    expect(dtype.is_string() && safetensors_element_bytes(dtype.get<std::string>()) > 0, kOp, "{}: tensor {}: unknown dtype: got {}", path,
           name_text(name), dtype.dump(-1, ' ', true).substr(0, 60));
    expect(shape.is_array(), kOp, "{}: tensor {}: shape is no list", path, name_text(name));
    expect(offsets.is_array() && offsets.size() == 2, kOp, "{}: tensor {}: data_offsets is no pair", path, name_text(name));
    TensorEntry entry{.name = name, .dtype = dtype.get<std::string>()};
    Size bytes = safetensors_element_bytes(entry.dtype);
    bool overflow = false, empty = false;
    for (const json& size : shape) {
        entry.shape.push_back(non_negative(path, name, "a size of the shape", size));
        empty |= entry.shape.back() == 0;
    }
    for (Size size : entry.shape) overflow |= !empty && __builtin_mul_overflow(bytes, size, &bytes);
    if (empty) bytes = 0;
    expect(!overflow, kOp, "{}: tensor {}: the shape has too many elements: got {}", path, name_text(name), shape.dump().substr(0, 120));
    entry.begin = non_negative(path, name, "an offset", offsets[0]);
    entry.end = non_negative(path, name, "an offset", offsets[1]);
    expect(entry.begin <= entry.end, kOp, "{}: tensor {}: data_offsets run backwards: got {} to {}", path, name_text(name), entry.begin,
           entry.end);
    expect(entry.bytes() == bytes, kOp, "{}: tensor {}: data_offsets do not fit the shape: got {} bytes, expected {} for {} {}", path,
           name_text(name), entry.bytes(), bytes, entry.dtype, shape.dump().substr(0, 120));
    return entry;
}

void check_cover(const std::string& path, const std::map<std::string, TensorEntry>& entries, Size data_bytes) {
    std::vector<const TensorEntry*> order;
    for (const auto& [name, entry] : entries) order.push_back(&entry);
    std::sort(order.begin(), order.end(),
              [](auto* a, auto* b) { return std::tie(a->begin, a->end, a->name) < std::tie(b->begin, b->end, b->name); });
    Size at = 0;
    for (const TensorEntry* entry : order) {
        expect(entry->end <= data_bytes, kOp, "{}: tensor {}: data_offsets lie outside the file: they end at {}, the data have {} bytes",
               path, name_text(entry->name), entry->end, data_bytes);
        expect(entry->begin == at, kOp, "{}: tensor {}: {}: it begins at {}, expected {}", path, name_text(entry->name),
               entry->begin < at ? "it overlaps the tensor before" : "a hole stands before it", entry->begin, at);
        at = entry->end;
    }
    expect(at == data_bytes, kOp, "{}: the tensors do not cover the data: they end at {}, the data have {} bytes", path, at, data_bytes);
}

}  // namespace

SafetensorsHeader parse_safetensors_header(const std::string& path, std::string_view text, Size data_bytes) {
    expect(text.starts_with('{'), kOp, "{}: the header does not begin with a brace", path);
    json parsed = parse_json(path, text);
    SafetensorsHeader header;
    for (const auto& [name, value] : parsed.items()) {
        if (name != "__metadata__") {
            header.entries[name] = parse_entry(path, name, value);
            continue;
        }
        expect(value.is_object(), kOp, "{}: __metadata__ is no table of strings", path);
        for (const auto& [key, word] : value.items()) {
            expect(word.is_string(), kOp, "{}: __metadata__ {} is no string", path, name_text(key));
            header.metadata[key] = word.get<std::string>();
        }
    }
    check_cover(path, header.entries, data_bytes);
    return header;
}

Size safetensors_element_bytes(std::string_view dtype) {
    if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
    if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
    if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
    if (dtype == "U8" || dtype == "I8" || dtype == "BOOL" || dtype == "F8_E4M3" || dtype == "F8_E5M2") return 1;
    return 0;
}

std::string name_text(const std::string& name) { return json(name).dump(-1, ' ', true, json::error_handler_t::replace); }

}  // namespace engine::io
