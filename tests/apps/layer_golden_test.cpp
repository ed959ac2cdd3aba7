// `moegrad layer` against vectors of another hand: tools/golden, written from the papers' formulas, with PyTorch's autograd in double
// precision.
#include "engine/io/safetensors.h"
#include "moe/methods/table.h"
#include "tests/support/layer_program.h"
#include "tests/support/text_files.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>
#include <fmt/format.h>

using tests::Array;
using tests::Arrays;

namespace {

struct Golden {
    std::string toml;
    Arrays in, out;
    std::vector<std::string> integers = {};  // of in
};

Golden read_golden(const std::filesystem::path& toml) {
    Golden golden{.toml = tests::read_text(toml)};
    std::filesystem::path tensors = toml;
    auto file = engine::io::SafetensorsFile::open(tensors.replace_extension(".safetensors"));
    for (const std::string& name : file.names()) {
        bool input = name.starts_with("in.");
        if (input && !engine::is_floating(file.dtype(name))) golden.integers.push_back(name.substr(3));
        (input ? golden.in : golden.out)[name.substr(input ? 3 : 4)] = tests::read_array(file, name);
    }
    return golden;
}

double largest(const Array& array) {
    double most = 0;
    for (double value : array.values) most = std::max(most, std::abs(value));
    return most;
}

// What a difference is compared with: the tensor's largest value. Before a batch norm a bias has no gradient but rounding: the weight's.
double size_of(const Golden& golden, const std::string& name) {
    return std::max(largest(golden.out.at(name == "grad.query.b" ? "grad.query.w" : name)), 1e-300);
}

std::vector<std::filesystem::path> cases() {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator("tests/golden")) {
        if (entry.path().extension() == ".toml") paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

}  // namespace

TEST_CASE("every golden layer comes out as another implementation has it: choices exactly, the rest to 1e-10 in double and 1e-5 in float") {
    CHECK(cases().size() >= 15);
    for (const auto& path : cases()) {
        Golden golden = read_golden(path);
        for (auto [dtype, bound] : {std::pair{std::string("float64"), 1e-10}, {"float32", 1e-5}}) {
            INFO(path.string() << " in " << dtype);
            Arrays got = tests::run_layer(golden.toml + "dtype = \"" + dtype + "\"\n", golden.in, golden.integers);
            for (const auto& [name, array] : golden.out) {
                INFO(name);
                REQUIRE(got.contains(name));
                CHECK(got.at(name).shape == array.shape);
                if (name == "ids") {
                    CHECK(got.at(name).values == array.values);
                    continue;
                }
                double error = 0;
                for (std::size_t i = 0; i < array.values.size(); ++i)
                    error = std::max(error, std::abs(got.at(name).values.at(i) - array.values[i]));
                CHECK(error / size_of(golden, name) < bound);
            }
            // Nothing comes out that the other implementation does not know of.
            for (const auto& [name, array] : got) CHECK_MESSAGE((name.starts_with("param.") || golden.out.contains(name)), name);
        }
    }
}

TEST_CASE("every row of the table has golden vectors") {
    std::string tomls;
    for (const auto& path : cases()) tomls += tests::read_text(path);
    for (const moe::Method& method : moe::methods()) {
        INFO(method.name << "; hint: a case in tools/golden, then tools/golden tests/golden");
        CHECK(tomls.find(fmt::format("method = \"{}\"\n", method.name)) != std::string::npos);
    }
}
