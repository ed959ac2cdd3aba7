// The five rows of standard deviations of sigma-moe.md 2.1.
#include "engine/tensor/transfer.h"
#include "moe/methods/table.h"
#include "nn/parameter_store.h"
#include "tests/support/random.h"

#include <cmath>

#include <doctest/doctest.h>

using namespace engine;
using tests::deviation;

namespace {

struct Row {
    Size C;
    int L;
    Size E;
    const char* init;
    double w1, w2, router_norm;
};

}  // namespace

TEST_CASE("experts begin with the paper's standard deviations, the router with its row norms") {
    // The last row is the ablation "standard init" of WT-S.
    for (const Row& row :
         {Row{412, 16, 16, "paper", 0.017418, 0.0078125, 0.35355}, Row{412, 16, 128, "paper", 0.017418, 0.0027621, 0.35355},
          Row{1024, 18, 32, "paper", 0.0104167, 0.0052083, 0.33333}, Row{512, 12, 16, "paper", 0.018042, 0.0090211, 0.40825},
          Row{412, 16, 16, "standard", 0.017418, 0.031250, 0.35355}}) {
        nn::OptionTable options("ffn");
        options.set("n_experts", row.E), options.set("expert_size", Size{128}), options.set("k", Size{4}),
            options.set("init", std::string(row.init));
        auto layer = moe::make_feed_forward(moe::method_named("sigma-moe"), options, {row.C, 0, row.L});
        std::vector<nn::Parameter*> parameters;
        std::vector<nn::State*> states;
        layer->collect("", parameters, states);
        for (nn::Parameter* p : parameters) {
            std::vector<double> values = p->initial(p->shape, 5);
            // A sample of n ≥ 6592 has a deviation within 1/√(2n) ≤ 0.9 % of σ: four of those.
            if (p->name == "experts.w1") CHECK(deviation(values) == doctest::Approx(row.w1).epsilon(0.005));
            if (p->name == "experts.w2") CHECK(deviation(values) == doctest::Approx(row.w2).epsilon(0.005));
            if (p->name != "router.w") continue;
            for (Size e = 0; e < row.E; ++e) {
                double squares = 0;
                for (Size c = 0; c < row.C; ++c)
                    squares += values[static_cast<std::size_t>(c * row.E + e)] * values[static_cast<std::size_t>(c * row.E + e)];
                CHECK(std::sqrt(squares) == doctest::Approx(row.router_norm).epsilon(0.036));
            }
        }
    }
}
