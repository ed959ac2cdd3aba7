// Product keys through `moegrad layer`: shapes of choices, states of the query norm, what is written when.
#include "tests/support/layer_program.h"
#include "tests/support/random.h"

#include <cmath>

#include <doctest/doctest.h>

using engine::Shape;
using engine::Size;
using tests::Array;
using tests::Arrays;
using tests::random_values;
using tests::run_layer;

namespace {

const char* kPeer =
    "method = \"peer\"\nchannels = 6\ndtype = \"float64\"\nsub_keys = 3\nheads = 2\nk = 4\nquery_size = 4\nquery_norm = \"batch\"\n";

Arrays inputs(bool backward) {
    Arrays in = {{"x", {{5, 6}, random_values(30, 1)}}};
    if (backward) in["dy"] = {{5, 6}, random_values(30, 2)};
    return in;
}

}  // namespace

TEST_CASE("layer writes the slots of every head, and what a training step makes of the query norm's statistics") {
    Arrays in = inputs(true);
    in["query_norm.mean"] = {{8}, random_values(8, 3)};
    in["query_norm.var"] = {{8}, std::vector<double>(8, 2.0)};
    Arrays out = run_layer(kPeer, in);
    CHECK(out.at("ids").shape == Shape{5, 2, 4});
    CHECK(out.at("gates").shape == Shape{5, 2, 4});
    CHECK(out.at("param.subkeys").shape == Shape{2, 3, 2});
    CHECK(out.at("param.query_norm.mean") == in.at("query_norm.mean"));
    for (const char* name : {"query.w", "query.b", "query_norm.weight", "query_norm.bias", "subkeys", "keys", "values"}) {
        CHECK(out.at("grad." + std::string(name)).shape == out.at("param." + std::string(name)).shape);
    }
    CHECK_FALSE(out.contains("grad.query_norm.mean"));
    // q = x·w + b; the statistics are its own, the running ones a tenth of them.
    const auto &w = out.at("param.query.w").values, &b = out.at("param.query.b").values, &x = in.at("x").values;
    for (std::size_t f = 0; f < 8; ++f) {
        double q[5], mean = 0, squares = 0;
        for (std::size_t n = 0; n < 5; ++n) {
            q[n] = b[f];
            for (std::size_t c = 0; c < 6; ++c) q[n] += x[n * 6 + c] * w[c * 8 + f];
            mean += q[n] / 5;
        }
        for (double value : q) squares += (value - mean) * (value - mean);
        CHECK(out.at("next.query_norm.mean").values[f] ==
              doctest::Approx(0.9 * in.at("query_norm.mean").values[f] + 0.1 * mean).epsilon(1e-12));
        CHECK(out.at("next.query_norm.var").values[f] == doctest::Approx(0.9 * 2.0 + 0.1 * squares / 4).epsilon(1e-12));
    }
}

TEST_CASE("layer in evaluation uses the statistics that it is given and changes none, for one row as well") {
    Arrays in = {{"x", {{1, 6}, random_values(6, 1)}}};
    std::string eval = std::string(kPeer) + "mode = \"eval\"\n";
    Arrays plain = run_layer(eval, in);
    CHECK_FALSE(plain.contains("next.query_norm.mean"));
    in["query_norm.mean"] = {{8}, std::vector<double>(8, 0.5)};
    CHECK(run_layer(eval, in).at("gates").values != plain.at("gates").values);
    tests::LayerRun refused = tests::run_layer_program(kPeer, in);
    CHECK(refused.code == 1);
    CHECK(refused.message.find("one row has no variance: got N = 1 in training") != std::string::npos);
}

TEST_CASE("layer refuses a running statistic of another shape, and options that a row of product keys does not have") {
    Arrays in = inputs(false);
    in["query_norm.mean"] = {{6}, random_values(6, 3)};
    CHECK(tests::run_layer_program(kPeer, in).message.find("\"query_norm.mean\" has the wrong shape: got (6), expected (8)") !=
          std::string::npos);
    CHECK(tests::run_layer_program("method = \"pkm\"\nchannels = 6\nsub_keys = 3\nheads = 2\nk = 4\nquery_size = 4\nglu = true\n",
                                   inputs(false))
              .code == 1);
}

TEST_CASE("layer runs every method of keys in every dtype") {
    for (const char* dtype : {"float32", "float64", "bfloat16"}) {
        for (const char* method : {"pkm\"\nquery_size = 4", "pkm-relu\"", "pkm-ffn\"\nquery_size = 4", "peer\"\nquery_size = 4",
                                   "memory-plus\"\nquery_size = 4"}) {
            Arrays out = run_layer(
                std::string("method = \"") + method + "\nchannels = 6\nsub_keys = 3\nheads = 2\nk = 4\ndtype = \"" + dtype + "\"\n",
                inputs(true));
            CHECK(out.at("ids").shape == Shape{5, 2, 4});
            for (double value : out.at("dx").values) CHECK(std::isfinite(value));
        }
        Arrays out = run_layer(std::string("method = \"lorkm\"\nchannels = 6\ncells = 9\nrank = 2\nk = 4\ndtype = \"") + dtype + "\"\n",
                               inputs(true));
        CHECK(out.at("ids").shape == Shape{5, 4});
        CHECK(out.at("grad.keys.up").shape == Shape{2, 9});
    }
}
