#include "tests/support/layer_program.h"

#include "apps/command.h"
#include "engine/io/atomic_file.h"
#include "tests/support/program_output.h"
#include "tests/support/random.h"
#include "tests/support/temporary_folder.h"

#include <algorithm>

#include <doctest/doctest.h>

namespace tests {
namespace {

// X stands in the folder already.
LayerRun run_in(const TemporaryFolder& folder, const std::string& toml) {
    engine::io::write_file(folder / "layer.toml", toml);
    auto at = [&](const char* name) { return (folder / name).string(); };
    ProgramResult result = run_program({"layer", at("layer.toml"), "--in", at("x.safetensors"), "--out", at("y.safetensors")});
    LayerRun run{.code = result.code, .message = result.errors};
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
        run.wrote_anything |= entry.path().filename().string().starts_with("y.");
    }
    if (run.code != apps::kDone) return run;
    auto file = engine::io::SafetensorsFile::open(folder / "y.safetensors");
    for (const std::string& name : file.names()) { run.out[name] = read_array(file, name); }
    return run;
}

}  // namespace

Array random_array(const engine::Shape& shape, std::uint64_t salt) { return {shape, random_values(shape.elements(), salt)}; }

Array read_array(const engine::io::SafetensorsFile& file, const std::string& name) {
    Array array{file.shape(name), {}};
    if (engine::is_floating(file.dtype(name))) {
        array.values = file.read<double>(name);
    } else {
        std::vector<std::int32_t> whole = file.read<std::int32_t>(name);
        array.values.assign(whole.begin(), whole.end());
    }
    return array;
}

LayerRun run_layer_program(const std::string& toml, const Arrays& in, const std::vector<std::string>& integers) {
    TemporaryFolder folder;
    engine::io::SafetensorsWriter writer;
    for (const auto& [name, array] : in) {
        if (std::find(integers.begin(), integers.end(), name) != integers.end()) {
            writer.add(name, array.shape, std::vector<std::int32_t>(array.values.begin(), array.values.end()));
        } else {
            writer.add(name, array.shape, array.values);
        }
    }
    writer.write(folder / "x.safetensors");
    return run_in(folder, toml);
}

LayerRun run_layer_program(const std::string& toml, const std::string& safetensors) {
    TemporaryFolder folder;
    engine::io::write_file(folder / "x.safetensors", safetensors);
    return run_in(folder, toml);
}

Arrays run_layer(const std::string& toml, const Arrays& in, const std::vector<std::string>& integers) {
    LayerRun run = run_layer_program(toml, in, integers);
    INFO(toml);
    INFO(run.message);
    REQUIRE(run.code == apps::kDone);
    return run.out;
}

void check_refused(const LayerRun& run, const std::string& part, int code) {
    INFO(run.message);
    CHECK(run.code == code);
    CHECK(run.message.starts_with("moegrad: ["));
    CHECK(run.message.find('\n') == run.message.size() - 1);
    CHECK(run.message.find(part) != std::string::npos);
    CHECK_FALSE(run.wrote_anything);
}

}  // namespace tests
