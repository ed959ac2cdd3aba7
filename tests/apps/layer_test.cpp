#include "apps/command.h"
#include "tests/support/layer_program.h"
#include "tests/support/random.h"

#include <doctest/doctest.h>

using tests::Array;
using tests::Arrays;
using tests::random_values;

TEST_CASE("layer writes the result, the choice, losses, every parameter, and with dy every gradient") {
    const std::string toml = "method = \"sigma-moe\"\nchannels = 6\nn_experts = 5\nexpert_size = 4\nk = 2\n";
    Array x{{7, 6}, random_values(42, 1)}, dy{{7, 6}, random_values(42, 2)};
    Arrays forward = tests::run_layer(toml, {{"x", x}});
    std::vector<std::string> names;
    for (const auto& [name, array] : forward) names.push_back(name);
    CHECK(names == std::vector<std::string>{"gates", "ids", "loss.entropy", "param.experts.w1", "param.experts.w2", "param.router.w", "y"});
    CHECK(forward["ids"].shape == engine::Shape{7, 2});
    CHECK(forward["loss.entropy"].shape == engine::Shape{1});

    Arrays both = tests::run_layer(toml, {{"x", x}, {"dy", dy}});
    for (const auto& [name, array] : forward) CHECK(both[name] == array);
    for (const char* name : {"experts.w1", "experts.w2", "router.w"}) {
        CHECK(both[std::string("grad.") + name].shape == both[std::string("param.") + name].shape);
    }
    CHECK(both["dx"].shape == x.shape);

    // What was written as param.* goes in again under its name and gives the same.
    Arrays again = {{"x", x}, {"dy", dy}};
    for (const char* name : {"experts.w1", "experts.w2", "router.w"}) again[name] = both[std::string("param.") + name];
    CHECK(tests::run_layer(toml + "seed = 9\n", again) == both);
    CHECK(tests::run_layer(toml + "seed = 9\n", {{"x", x}})["param.router.w"] != forward["param.router.w"]);
}
