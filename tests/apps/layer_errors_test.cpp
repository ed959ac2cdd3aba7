// What `moegrad layer` says when a file is wrong: one line that names the fault, exit code 1, and nothing written.
#include "apps/command.h"
#include "engine/io/atomic_file.h"
#include "engine/io/safetensors.h"
#include "tests/support/layer_program.h"
#include "tests/support/program_output.h"
#include "tests/support/random.h"
#include "tests/support/temporary_folder.h"

#include <cmath>
#include <fstream>

#include <doctest/doctest.h>

using engine::Shape;
using tests::Array;
using tests::Arrays;
using tests::check_refused;
using tests::random_array;

namespace {

void check_options(const std::string& toml, const std::string& part) {
    INFO(toml);
    check_refused(tests::run_layer_program(toml, {{"x", random_array({5, 6})}}), part);
}

void check_tensors(const std::string& toml, const Arrays& in, const std::string& part, const std::vector<std::string>& integers = {}) {
    INFO(toml);
    check_refused(tests::run_layer_program(toml, in, integers), part);
}

const std::string kDense = "method = \"dense\"\nchannels = 6\nhidden = 4\n";
const std::string kExperts = "method = \"sigma-moe\"\nchannels = 6\nn_experts = 4\nexpert_size = 3\n";
const std::string kXl = "method = \"xl-attention\"\nchannels = 6\nheads = 2\nhead_size = 3\n";

}  // namespace

TEST_CASE("a file of options that is not TOML is one message") {
    for (const char* text :
         {"method", "method = ", "method = \"dense", "= 3", "[", "method = \"dense\"\nmethod = \"dense\"", "a.b = 1\na = 2",
          "x = 99999999999999999999", "\xff\xfe", "a = \"\\q\"", "a = 1 b = 2", "a = [1, 2", "a = 1979-13-41"}) {
        check_options(text, "is not TOML");
    }
    check_options(std::string("method\0= 3", 10), "is not TOML");
    check_options("a = " + std::string(20000, '['), "is not TOML");
    check_options("", "option method is missing");
    check_options("[ffn]\nmethod = \"dense\"", "ffn has the wrong type");
    check_options("method = 1979-05-27", "method has the wrong type");
    check_options("method = [\"dense\"]", "no list of whole numbers");
}

TEST_CASE("an option that is missing, misspelt, of the wrong type or out of range is one message that names it") {
    check_options("channels = 6", "option method is missing");
    check_options("method = 3\nchannels = 6", "option method has the wrong type");
    check_options("method = \"\"\nchannels = 6", "unknown method: got \"\"");
    check_options("method = \"sigmamoe\"\nchannels = 6", "did you mean sigma-moe?");
    check_options("method = \"attenton\"\nchannels = 6", "did you mean attention?");
    check_options("method = \"dense\"\nhidden = 4", "option channels is missing");
    for (const char* channels : {"0", "-6", "1000000000000000000", "16777217"}) {
        check_options("method = \"dense\"\nhidden = 4\nchannels = " + std::string(channels), "option channels is out of range");
    }
    check_options("method = \"dense\"\nhidden = 4\nchannels = 6.0", "option channels has the wrong type");
    check_options("method = \"dense\"\nhidden = 4\nchannels = \"6\"", "option channels has the wrong type");
    check_options("method = \"dense\"\nchannels = 6", "option hidden is missing");
    check_options(kDense + "k = 2", "unknown option: got \"k\"");
    check_options(kDense + "activaton = \"relu\"", "did you mean activation?");
    check_options(kDense + "activation = \"tanh\"", "option activation has an unknown value");
    check_options(kDense + "glu = 1", "option glu has the wrong type");
    check_options(kDense + "hidden_dropout = 1", "option hidden_dropout is out of range");
    check_options(kDense + "hidden_dropout = nan", "option hidden_dropout is out of range");
    check_options(kDense + "dtype = \"float16\"", "option dtype has an unknown value");
    check_options(kDense + "device = \"gpu\"", "no such device");
    check_options(kDense + "device = \"cuda:7\"", "cuda:7 is not here");
    check_options(kDense + "device = \"simt\"\ndtype = \"float64\"", "float64 runs on the cpu only");
    check_options(kDense + "mode = \"test\"", "option mode has an unknown value");
    check_options(kDense + "depth = 0", "option depth is out of range");
    check_options(kDense + "seed = -1", "option seed is out of range");
    check_options("method = \"topk\"\nchannels = 6\nhidden = 4", "option k is missing");
    check_options("method = \"topk\"\nchannels = 6\nhidden = 4\nk = 5", "k must be between 1 and hidden: got k = 5, hidden = 4");
    check_options(kExperts, "option k is missing");
    check_options(kExperts + "k = 0", "option k is out of range");
    check_options(kExperts + "k = 5", "k must be between 1 and n_experts: got k = 5, n_experts = 4");
    check_options(kExperts + "k = 2.5", "option k has the wrong type");
    check_options(kExperts + "k = 2\nbias = true", "unknown option: got \"bias\"");
    check_options(kExperts + "k = 2\nentropy_weight = inf", "option entropy_weight is out of range");
    check_options(kExperts + "k = 2\nexpert_dropout = -0.1", "option expert_dropout is out of range");
    check_options("method = \"softmax-after\"\nchannels = 6\nn_experts = 4\nexpert_size = 3\nk = 1\nexpert_dropout = 0.1",
                  "unknown option");
    check_options("method = \"rms-norm\"\nchannels = 6\neps = -1.0", "option eps is out of range");
    check_options("method = \"layer-norm\"\nchannels = 6\nbias = true", "unknown option");
    check_options("method = \"attention\"\nchannels = 6\nheads = 4", "heads must divide the channels: got heads = 4, channels = 6");
    check_options("method = \"attention\"\nchannels = 6\nheads = 2\nrope = true", "even head size");
    check_options("method = \"xl-attention\"\nchannels = 5\nheads = 2\nhead_size = 3", "channels must be even: got 5");
}

TEST_CASE("sizes that no machine holds are refused before memory is taken") {
    check_options("method = \"dense\"\nchannels = 6\nhidden = 2147483647", "do not fit into memory");
    check_options("method = \"sigma-moe\"\nchannels = 6\nn_experts = 2147483647\nexpert_size = 2147483647\nk = 1",
                  "do not fit into memory");
    check_tensors("method = \"xl-attention\"\nchannels = 6\nheads = 65536\nhead_size = 1048576", {{"x", random_array({1, 5, 6})}},
                  "do not fit into memory");
    check_options("method = \"dense\"\nchannels = 6\nhidden = 2147483648", "option hidden is out of range");
}

TEST_CASE("a tensor that is missing, unknown, or of the wrong shape or dtype is named, with both shapes") {
    Array x = random_array({5, 6});
    check_tensors(kDense, {}, "tensor \"x\" is missing: got none, expected (N, 6)");
    check_tensors(kDense, {{"dy", x}}, "tensor \"x\" is missing");
    check_tensors(kDense, {{"x", random_array({5, 7})}}, "tensor \"x\" has the wrong shape: got (5, 7), expected (N, 6)");
    check_tensors(kDense, {{"x", random_array({30})}}, "tensor \"x\" has the wrong shape: got (30), expected (N, 6)");
    check_tensors(kDense, {{"x", random_array({1, 5, 6})}}, "got (1, 5, 6), expected (N, 6)");
    check_tensors(kDense, {{"x", random_array({0, 6})}}, "tensor \"x\" has no rows: got (0, 6), expected (N, 6)");
    check_tensors(kDense, {{"x", x}}, "tensor \"x\" has the wrong dtype: got I32", {"x"});
    check_tensors(kDense, {{"x", x}, {"dy", random_array({4, 6})}}, "tensor \"dy\" has the wrong shape: got (4, 6), expected (5, 6)");
    check_tensors(kDense, {{"x", x}, {"w1", random_array({4, 6})}}, "tensor \"w1\" has the wrong shape: got (4, 6), expected (6, 4)");
    check_tensors(kDense, {{"x", x}, {"w2", random_array({24})}}, "tensor \"w2\" has the wrong shape: got (24), expected (4, 6)");
    check_tensors(kDense, {{"x", x}, {"w3", random_array({6, 4})}},
                  "unknown tensor: got \"w3\" (6, 4), expected none; hint: did you mean \"w");
    check_tensors(kDense, {{"x", x}, {"b1", random_array({4})}}, "unknown tensor: got \"b1\" (4)");
    check_tensors(kDense, {{"x", x}, {"memory", random_array({1, 2, 6})}}, "unknown tensor: got \"memory\"");
    check_tensors(kDense, {{"x", x}, {"token_ids", random_array({5})}}, "unknown tensor: got \"token_ids\"", {"token_ids"});
    check_tensors(kDense, {{"x", x}, {"param.w1", random_array({6, 4})}}, "unknown tensor: got \"param.w1\"");
    check_tensors(kExperts + "k = 1", {{"x", x}, {"experts.w1", random_array({6, 4, 3})}}, "got (6, 4, 3), expected (4, 6, 3)");
    check_tensors(kXl, {{"x", x}}, "tensor \"x\" has the wrong shape: got (5, 6), expected (B, T, 6)");
    check_tensors(kXl, {{"x", random_array({2, 0, 6})}}, "tensor \"x\" has no rows");
    check_tensors(kXl, {{"x", random_array({2, 3, 6})}, {"memory", random_array({1, 3, 6})}}, "got (1, 3, 6), expected (2, M, 6)");
    check_tensors(kXl, {{"x", random_array({2, 3, 6})}, {"scale", random_array({})}},
                  "tensor \"scale\" has the wrong shape: got (), expected (1)");
    check_tensors("method = \"rms-norm\"\nchannels = 6", {{"x", x}, {"bias", random_array({6})}}, "unknown tensor: got \"bias\"");
}

TEST_CASE("a file of tensors that is no safetensors is one message") {
    auto header = [](const std::string& json, const std::string& data = "") {
        std::string bytes(8, '\0');
        for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(json.size() >> (8 * i));
        return bytes + json + data;
    };
    for (const std::string& bytes :
         {std::string(), std::string("safeten"), std::string(8, '\xff'), std::string(8, '\0'), header("{"), header("[]"),
          header(R"({"x":{"dtype":"F64","shape":[1,6],"data_offsets":[0,48]}})"),
          header(R"({"x":{"dtype":"F64","shape":[1,6],"data_offsets":[0,48]}})", std::string(47, '\0')),
          header(R"({"x":{"dtype":"F64","shape":[1,6],"data_offsets":[0,48]}})", std::string(49, '\0')),
          header(R"({"x":{"dtype":"F65","shape":[1,6],"data_offsets":[0,48]}})", std::string(48, '\0')),
          header(R"({"x":{"dtype":"F64","shape":[4611686018427387904,6],"data_offsets":[0,48]}})", std::string(48, '\0')),
          header(R"({"x":{"dtype":"F64","shape":[-1,6],"data_offsets":[0,48]}})", std::string(48, '\0'))}) {
        check_refused(tests::run_layer_program(kDense, bytes), "[safetensors]");
    }
    check_refused(
        tests::run_layer_program(kDense, header(R"({"x":{"dtype":"U8","shape":[1,6],"data_offsets":[0,6]}})", std::string(6, '\0'))),
        "dtype U8 is not supported");
}

TEST_CASE("files that are not there are one message; a command line that names none is wrong usage") {
    tests::TemporaryFolder folder;
    auto refused = [&](const std::vector<std::string>& arguments, int code, const std::string& part) {
        tests::ProgramResult result = tests::run_program(arguments);
        check_refused({result.code, result.errors, std::filesystem::exists(folder / "y"), {}}, part, code);
    };
    std::string none = (folder / "none").string(), y = (folder / "y").string();
    refused({"layer", none, "--in", none, "--out", y}, apps::kFailed, "none");
    refused({"layer", folder.path().string(), "--in", none, "--out", y}, apps::kFailed, "[");
    refused({"layer"}, apps::kWrongUsage, "FILE");
    refused({"layer", none, "--in", none}, apps::kWrongUsage, "--out");
    refused({"layer", none, "--in", none, "--out", y, "--dtype", "float64"}, apps::kWrongUsage, "--dtype");
}

TEST_CASE("a result that cannot be written is one message; a failed run leaves an older result as it was") {
    tests::TemporaryFolder folder;
    auto write = [&](const std::string& name, const std::string& text) {
        std::ofstream(folder / name) << text;
        return (folder / name).string();
    };
    std::string toml = write("layer.toml", kDense), wrong = write("wrong.toml", kDense + "k = 1"), y = write("y", "older");
    engine::io::SafetensorsWriter writer;
    writer.add("x", Shape{5, 6}, tests::random_values(30, 1));
    writer.write(folder / "x");
    std::string x = (folder / "x").string();
    tests::ProgramResult nowhere = tests::run_program({"layer", toml, "--in", x, "--out", (folder.path() / "no" / "y").string()});
    CHECK(nowhere.code == apps::kFailed);
    CHECK(nowhere.errors.find('\n') == nowhere.errors.size() - 1);
    CHECK(tests::run_program({"layer", wrong, "--in", x, "--out", y}).code == apps::kFailed);
    CHECK(engine::io::read_file(y) == "older");
    CHECK(tests::run_program({"layer", toml, "--in", x, "--out", y}).code == apps::kDone);
    CHECK(engine::io::SafetensorsFile::open(y).contains("y"));
}

TEST_CASE("rows of NaN and infinity pass through every layer without harm") {
    for (std::string device : {"cpu", "simt"}) {
        for (const std::string& toml :
             {kDense, kExperts + "k = 3\nentropy_weight = 0.1\n", kXl, std::string("method = \"topk\"\nchannels = 6\nhidden = 4\nk = 2\n"),
              std::string("method = \"softmax-after\"\nchannels = 6\nn_experts = 4\nexpert_size = 3\nk = 4\n"),
              std::string("method = \"softmax-before\"\nchannels = 6\nn_experts = 4\nexpert_size = 3\nk = 1\n"),
              std::string("method = \"attention\"\nchannels = 6\nheads = 3\n"), std::string("method = \"layer-norm\"\nchannels = 6\n")}) {
            bool sequences = toml.find("attention") != std::string::npos;
            Array x = random_array(sequences ? Shape{1, 5, 6} : Shape{5, 6}), dy = x;
            x.values[6] = NAN, x.values[13] = INFINITY, x.values[20] = -INFINITY;
            Arrays out = tests::run_layer(toml + "device = \"" + device + "\"\n", {{"x", x}, {"dy", dy}});
            for (double id : out["ids"].values) CHECK((id >= 0 && id < 4));
        }
    }
}
