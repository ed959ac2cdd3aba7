#include "apps/layer_inputs.h"

#include "engine/base/error.h"
#include "engine/io/safetensors_header.h"

#include <unistd.h>

namespace apps {

using engine::Dtype;
using engine::expect;
using engine::fail;
using engine::Shape;
using engine::Size;
using engine::io::name_text;
using engine::io::SafetensorsFile;

namespace {

// A dimension of a known size, or of any size and a letter.
struct Dimension {
    Size size = -1;
    const char* letter = "";
};

struct Expected {
    std::string name;
    std::vector<Dimension> shape;
    bool floating = true;
    bool required = false;
};

template <class Sizes, class Text>
std::string shape_text(const Sizes& sizes, Text&& text) {
    std::string result;
    for (const auto& size : sizes) result += (result.empty() ? "" : ", ") + text(size);
    return "(" + result + ")";
}
std::string text_of(const std::vector<Size>& shape) {
    return shape_text(shape, [](Size size) { return std::to_string(size); });
}
std::string text_of(const std::vector<Dimension>& shape) {
    return shape_text(shape, [](Dimension d) { return d.size < 0 ? std::string(d.letter) : std::to_string(d.size); });
}

std::vector<Dimension> dimensions(const Shape& shape) {
    std::vector<Dimension> result;
    for (int i = 0; i < shape.dims(); ++i) result.push_back({shape[i]});
    return result;
}

void check(const SafetensorsFile& file, const Expected& wanted) {
    if (!file.contains(wanted.name)) {
        expect(!wanted.required, "layer", "{}: tensor {} is missing: got none, expected {}", file.path(), name_text(wanted.name),
               text_of(wanted.shape));
        return;
    }
    const engine::io::TensorEntry& entry = file.entry(wanted.name);
    bool equal = entry.shape.size() == wanted.shape.size();
    for (std::size_t i = 0; equal && i < entry.shape.size(); ++i) {
        equal = wanted.shape[i].size < 0 || wanted.shape[i].size == entry.shape[i];
    }
    expect(equal, "layer", "{}: tensor {} has the wrong shape: got {}, expected {}", file.path(), name_text(wanted.name),
           text_of(entry.shape), text_of(wanted.shape));
    expect(engine::is_floating(file.dtype(wanted.name)) == wanted.floating, "layer",
           "{}: tensor {} has the wrong dtype: got {}, expected {}", file.path(), name_text(wanted.name), entry.dtype,
           wanted.floating ? "F32 or F64" : "I32 or I64");
}

// x fixes the number of rows; everything else follows from it.
std::vector<Expected> expected_tensors(const SafetensorsFile& file, const SingleLayer& layer, Size channels, const LayerTensors& own) {
    std::vector<Dimension> rows = {{-1, "N"}, {channels}};
    if (layer.mixes_positions()) rows = {{-1, "B"}, {-1, "T"}, {channels}};
    check(file, {"x", rows, true, true});
    Shape x = file.shape("x");
    expect(x.rows() > 0, "layer", "{}: tensor \"x\" has no rows: got {}, expected {}", file.path(), x.text(), text_of(rows));
    Size most = layer.most_positions();
    expect(most == 0 || x[1] <= most, "layer", "{}: tensor \"x\" has more positions than the context: got {}, expected at most {}",
           file.path(), x.text(), most);
    std::vector<Expected> all = {{"x", dimensions(x), true, true}, {"dy", dimensions(x)}};
    if (layer.reads_token_ids()) all.push_back({"token_ids", {{x.rows()}}, false, true});
    if (layer.reads_memory()) all.push_back({"memory", {{x[0]}, {-1, "M"}, {channels}}});
    for (const nn::Parameter* parameter : own.parameters) all.push_back({parameter->name, dimensions(parameter->shape)});
    for (const nn::State* state : own.states) { all.push_back({state->name, dimensions(state->shape), engine::is_floating(state->dtype)}); }
    return all;
}

// Master, compute copy, gradient and two moments of everything must fit into this machine's memory.
void check_memory(const LayerTensors& own, Dtype dtype) {
    double values = 0;
    for (const nn::Parameter* parameter : own.parameters) {
        double count = 1;
        for (int i = 0; i < parameter->shape.dims(); ++i) count *= static_cast<double>(parameter->shape[i]);
        values += count;
    }
    double needed = 5 * values * static_cast<double>(engine::element_bytes(engine::sum_dtype(dtype)));
    double here = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
    expect(needed <= here, "layer", "the parameters do not fit into memory: got {:.3g} values, {:.3g} GiB, expected at most {:.3g} GiB",
           values, needed / 0x1p30, here / 0x1p30);
}

}  // namespace

LayerTensors bind_inputs(const SafetensorsFile& file, SingleLayer& layer, Size channels, Dtype dtype) {
    LayerTensors own;
    layer.module().collect("", own.parameters, own.states);
    std::vector<Expected> all = expected_tensors(file, layer, channels, own);
    std::vector<std::string> names;
    for (const Expected& wanted : all) {
        check(file, wanted);
        names.push_back(wanted.name);
    }
    for (const std::string& name : file.names()) {
        if (std::find(names.begin(), names.end(), name) != names.end()) continue;
        fail("layer", "{}: unknown tensor: got {} {}, expected none; hint: did you mean {}?", file.path(), name_text(name),
             text_of(file.entry(name).shape), name_text(nn::nearest_name(name, names)));
    }
    check_memory(own, dtype);
    for (nn::Parameter* parameter : own.parameters) {
        if (!file.contains(parameter->name)) continue;
        parameter->initial = [&file, name = parameter->name](const Shape&, std::uint64_t) { return file.read<double>(name); };
    }
    for (nn::State* state : own.states) {
        if (!file.contains(state->name)) continue;
        state->initial = [&file, name = state->name, dtype_ = state->dtype](const Shape&, std::uint64_t) {
            if (engine::is_floating(dtype_)) return file.read<double>(name);
            std::vector<std::int32_t> whole = file.read<std::int32_t>(name);
            return std::vector<double>(whole.begin(), whole.end());
        };
    }
    return own;
}

}  // namespace apps
