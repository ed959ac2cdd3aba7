#pragma once
// The JSON header of a safetensors file, and what makes one valid.
#include "engine/io/safetensors.h"

#include <string_view>

namespace engine::io {

struct SafetensorsHeader {
    std::map<std::string, TensorEntry> entries;
    std::map<std::string, std::string> metadata;
};

// Throws unless the tensors cover `data_bytes` without holes or overlaps and each has the size of its shape.
SafetensorsHeader parse_safetensors_header(const std::string& path, std::string_view json, Size data_bytes);
// Bytes of an element, 0 for a word that is no dtype.
Size safetensors_element_bytes(std::string_view dtype);
// A name for a message: quoted, control characters escaped.
std::string name_text(const std::string& name);

}  // namespace engine::io
