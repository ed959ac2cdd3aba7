#pragma once
// `moegrad layer` as another program would call it: options and tensors into files, the program, tensors out of a file.
#include "engine/base/shape.h"
#include "engine/io/safetensors.h"

#include <map>
#include <string>
#include <vector>

namespace tests {

struct Array {
    engine::Shape shape;
    std::vector<double> values;
    bool operator==(const Array&) const = default;
};
// Values in [-1, 1), the same every time for the same salt.
Array random_array(const engine::Shape& shape, std::uint64_t salt = 1);
using Arrays = std::map<std::string, Array>;
// Whatever its dtype.
Array read_array(const engine::io::SafetensorsFile& file, const std::string& name);

struct LayerRun {
    int code = 0;
    std::string message;          // on stderr
    bool wrote_anything = false;  // Y or a part of it stands there
    Arrays out;
};

// `integers` names those tensors of `in` that are stored as I32; the others are F64.
LayerRun run_layer_program(const std::string& toml, const Arrays& in, const std::vector<std::string>& integers = {});
// The bytes of X as they are.
LayerRun run_layer_program(const std::string& toml, const std::string& safetensors);
// The same for a run that must go well; fails the test with the message otherwise.
Arrays run_layer(const std::string& toml, const Arrays& in, const std::vector<std::string>& integers = {});
// The run failed in one line that says so, and wrote nothing.
void check_refused(const LayerRun& run, const std::string& part, int code = 1);

}  // namespace tests
