// What `moegrad layer` says of routers' options and tensors that cannot be: the rule, what was given, the nearest that would do.
#include "apps/command.h"
#include "tests/support/layer_program.h"

#include <doctest/doctest.h>

using engine::Shape;
using tests::Array;
using tests::Arrays;
using tests::random_array;

namespace {

std::string layer(const std::string& method, const std::string& more) {
    return "method = \"" + method + "\"\nchannels = 6\nn_experts = 4\nexpert_size = 3\n" + more + "\n";
}

void check_refused(const std::string& toml, const std::string& part, Arrays in = {{"x", random_array({5, 6})}},
                   const std::vector<std::string>& integers = {}) {
    INFO(toml);
    tests::check_refused(tests::run_layer_program(toml, in, integers), part);
}

}  // namespace

TEST_CASE("a router's options that cannot be are refused with the rule and the nearest that can") {
    for (const char* method : {"noisy-topk", "s-base", "deepseek", "avg-k", "vanilla-m"}) {
        check_refused(layer(method, ""), "option k is missing");
        check_refused(layer(method, "k = 5"), "k must be between 1 and n_experts: got k = 5, n_experts = 4");
        check_refused(layer(method, "k = 2\ncapacity_factor = 1.0"), "unknown option: got \"capacity_factor\"");
    }
    check_refused(layer("base", "k = 2"), "k");
    check_refused(layer("expert-choice", "k = 2"), "unknown option: got \"k\"");
    check_refused(layer("expert-choice", "capacity_factor = 0.0"), "option capacity_factor is out of range");
    check_refused(layer("expert-choice", "softmax_over = \"rows\""), "option softmax_over has an unknown value");
    check_refused(layer("s-base", "k = 2\nsinkhorn_iterations = 0"), "option sinkhorn_iterations is out of range");
    check_refused(layer("s-base", "k = 2\nsinkhorn = \"wrong\""), "option sinkhorn has an unknown value");
    check_refused(layer("deepseek", "k = 2\nn_groups = 3\ntopk_groups = 1"), "n_groups must divide n_experts");
    check_refused(layer("deepseek", "k = 2\nn_groups = 2\ntopk_groups = 3"),
                  "topk_groups must be between 1 and n_groups: got topk_groups = 3, n_groups = 2; hint: set ");
    check_refused(layer("deepseek", "k = 3\nn_groups = 2\ntopk_groups = 1"), "k must be between 1 and the experts of the open groups");
    check_refused(layer("deepseek", "k = 2\nscore = \"relu\""), "option score has an unknown value");
    check_refused(layer("avg-k", "k = 2\ngate = \"softmax\""), "option gate has an unknown value");
    check_refused(layer("avg-k", "k = 2\nreduce = \"mean\""), "unknown option: got \"reduce\"");
    check_refused(layer("vanilla-m", "k = 2\ngate = \"raw\""), "unknown option: got \"gate\"");
    check_refused(layer("vanilla-m", "k = 2\non = \"after\""), "option on has an unknown value");
    check_refused(layer("hash", "k = 2"), "option vocab is missing");
    check_refused(layer("hash", "k = 5\nvocab = 9"), "k must be between 1 and n_experts: got k = 5, n_experts = 4");
}

TEST_CASE("a router's tensors that cannot be are named: positions, token ids, tables") {
    Array x = random_array({5, 6});
    check_refused(layer("s-base", "k = 2\nscope = \"sequence\""), "tensor \"x\" has the wrong shape: got (5, 6), expected (B, T, 6)");
    check_refused(layer("base", ""), "got (1, 5, 6), expected (N, 6)", {{"x", random_array({1, 5, 6})}});
    std::string hash = layer("hash", "k = 2\nvocab = 9");
    check_refused(hash, "tensor \"token_ids\" is missing: got none, expected (5)");
    check_refused(hash, "tensor \"token_ids\" has the wrong dtype", {{"x", x}, {"token_ids", {{5}, {0, 1, 2, 3, 4}}}});
    check_refused(hash, "tensor \"token_ids\" has the wrong shape: got (4), expected (5)", {{"x", x}, {"token_ids", {{4}, {0, 1, 2, 3}}}},
                  {"token_ids"});
    for (double wrong : {-1.0, 9.0}) {
        check_refused(hash, "is out of range: got " + std::to_string(static_cast<int>(wrong)) + ", expected 0 to 8",
                      {{"x", x}, {"token_ids", {{5}, {0, 1, wrong, 3, 4}}}}, {"token_ids"});
    }
    Array table{{9, 2}, std::vector<double>(18, 1.0)}, ids{{5}, {0, 1, 2, 3, 4}};
    table.values[1] = 4;
    check_refused(hash, "expected 0 to 3", {{"x", x}, {"token_ids", ids}, {"hash.table", table}}, {"token_ids", "hash.table"});
    check_refused(hash, "tensor \"hash.table\" has the wrong shape: got (2, 9), expected (9, 2)",
                  {{"x", x}, {"token_ids", ids}, {"hash.table", {{2, 9}, table.values}}}, {"token_ids", "hash.table"});
    check_refused(layer("avg-k", "k = 2"), "unknown tensor: got \"router.w\"", {{"x", x}, {"router.w", random_array({6, 4})}});
    check_refused(layer("deepseek", "k = 2\nn_shared = 2"), "\"shared.w1\" has the wrong shape: got (6, 3), expected (6, 6)",
                  {{"x", x}, {"shared.w1", random_array({6, 3})}});
    check_refused(layer("deepseek", "k = 2"), "unknown tensor: got \"shared.w1\"", {{"x", x}, {"shared.w1", random_array({6, 3})}});
}
