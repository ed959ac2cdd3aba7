// What holds for every row of the table with experts: exact gradients, equal results on every device, at any number of threads and of
// virtual ranks, and that earlier rows do not see later ones, but where METHODS.md says so.
#include "engine/base/threads.h"
#include "tests/support/devices.h"
#include "tests/support/moe_cases.h"
#include "tests/support/random.h"

#include <algorithm>
#include <cmath>

using namespace engine;
using namespace tests;

TEST_CASE("every gradient of every row is that of central differences, in double") {
    for (const MoeCase& c : moe_cases()) {
        INFO(c.layer.method << " " << c.layer.options);
        // Smooth pieces with step 1e-5 are right to about 1e-9; no choice of these inputs lies within a step of a tie.
        CHECK(layer_gradient_error(c.layer, random_values(c.layer.N * c.layer.C, 1), random_values(c.layer.N * c.layer.C, 2),
                                   moved_values(c.layer)) < 1e-7);
    }
}

TEST_CASE_DEVICES("every row in fp32 equals the same row in double: choices exactly, everything else to rounding") {
    Exec cpu;
    for (const MoeCase& c : moe_cases()) {
        INFO(c.layer.method << " " << c.layer.options);
        auto x = random_values(c.layer.N * c.layer.C, 1), dy = random_values(c.layer.N * c.layer.C, 2);
        Table moved = moved_values(c.layer), exact = run_layer(cpu, Dtype::f64, c.layer, x, dy, moved),
              got = run_layer(exec, Dtype::f32, c.layer, x, dy, moved);
        CHECK(exact.size() == got.size());
        for (const auto& [name, values] : exact) {
            INFO(name);
            REQUIRE(got.contains(name));
            if (name == "ids") CHECK(got[name] == values);
            // Before a batch norm a constant does not matter: rounding around 0.
            if (name == "grad.query.b" && c.layer.options.find("query_norm=batch") != std::string::npos) {
                for (double value : got[name]) CHECK(std::abs(value) < 1e-6);
                continue;
            }
            // Sums of at most 12 rows of products of 5·3 terms: 200·2⁻²⁴ of the largest value, doubled for exp and log.
            bool zero = std::all_of(values.begin(), values.end(), [](double v) { return v == 0; });
            CHECK((zero ? got[name] == values : relative_error(got[name], values) < 2.5e-5));
        }
    }
}

TEST_CASE_DEVICES("every row has the same bits on 1, 2 and 4 virtual ranks") {
    for (const MoeCase& c : moe_cases()) {
        INFO(c.layer.method << " " << c.layer.options);
        auto x = random_values(c.layer.N * c.layer.C, 1), dy = random_values(c.layer.N * c.layer.C, 2);
        Table moved = moved_values(c.layer), one = run_layer_on_ranks(1, 4, exec.device, Dtype::f32, c.layer, x, dy, moved);
        for (int ranks : {2, 4}) {
            Table got = run_layer_on_ranks(ranks, 4, exec.device, Dtype::f32, c.layer, x, dy, moved);
            for (const auto& [name, values] : one) {
                INFO(name << " on " << ranks << " ranks");
                CHECK(got[name] == values);
            }
        }
    }
}

TEST_CASE("every row has the same bits at any number of threads") {
    Exec exec;
    for (const MoeCase& c : moe_cases()) {
        LayerCase layer = c.layer;
        INFO(layer.method << " " << layer.options);
        layer.N = 132, layer.C = 24;
        for (std::size_t i = layer.token_ids.size(); !layer.token_ids.empty() && i < 132; ++i)
            layer.token_ids.push_back(layer.token_ids[i % 12]);
        auto x = random_values(layer.N * layer.C, 1), dy = random_values(layer.N * layer.C, 2);
        set_threads(1);
        Table moved = moved_values(layer), one = run_layer(exec, Dtype::f32, layer, x, dy, moved);
        set_threads(3);
        CHECK(run_layer(exec, Dtype::f32, layer, x, dy, moved) == one);
        set_threads(2);
    }
}

TEST_CASE("a later row changes no earlier one, but in the rows of the table that leak") {
    Exec exec;
    for (const MoeCase& c : moe_cases()) {
        for (bool training : {true, false}) {
            LayerCase layer = c.layer;
            layer.training = training;
            INFO(layer.method << " " << layer.options << (training ? " in training" : " in evaluation"));
            const moe::Method& method = moe::method_named(layer.method);
            CHECK(moe::leak_note(method, options_of(layer.options)).empty() != c.leaks);
            bool may_leak = c.leaks && (training || method.leaks != moe::Leaks::in_training), moved_earlier = false, moved_any = false;
            Table moved = moved_values(layer);
            // In the middle of a sequence, where there are any.
            Size first = layer.sequence_length > 0 ? 7 : 6;
            for (std::uint64_t draw = 0; draw < 20; ++draw) {
                auto x = random_values(layer.N * layer.C, 10 + draw), later = x;
                for (Size i = first * layer.C; i < layer.N * layer.C; ++i) later[static_cast<std::size_t>(i)] *= -3.0;
                auto before = run_layer(exec, Dtype::f32, layer, x, {}, moved)["y"],
                     after = run_layer(exec, Dtype::f32, layer, later, {}, moved)["y"];
                moved_any |= before != after;
                moved_earlier |= !std::equal(before.begin(), before.begin() + first * layer.C, after.begin());
            }
            CHECK(moved_any);
            CHECK(moved_earlier == may_leak);
        }
    }
}
