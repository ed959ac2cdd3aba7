// Whole feed-forward layers, forward and backward.
#include "apps/bench_cases.h"
#include "engine/autograd/tape.h"
#include "engine/base/error.h"
#include "moe/methods/table.h"
#include "nn/parameter_store.h"

namespace apps {

using namespace engine;

namespace {

BenchCase layer(const char* method, const nn::OptionTable& options, Size N, Size C, const std::string& sizes, Dtype dtype, double flops) {
    BenchCase result{method, fmt::format("C{} {} N{}, forward + backward", C, sizes, N), dtype, flops, 0, nullptr};
    result.prepare = [=](Exec& exec) -> std::function<void()> {
        std::shared_ptr<nn::FeedForward> feed_forward = moe::make_feed_forward(moe::method_named(method), options, {C, 0, 1});
        auto store = std::make_shared<nn::ParameterStore>(exec, *feed_forward, dtype, 1, true);
        Tensor x = random_tensor(exec, {N, C}, dtype, 1), dy = random_tensor(exec, {N, C}, dtype, 2);
        return [=, &exec] {
            store->begin_pass();
            Tape tape(exec);
            Var input(x, true);
            nn::FeedForwardResult out = feed_forward->forward(tape, input, {});
            out.y_NC.give_grad(exec, dy);
            out = {};
            tape.backward();
        };
    };
    return result;
}

}  // namespace

std::vector<BenchCase> layer_cases() {
    constexpr Size C = 512, N = 8192, E = 16, G = 128, K = 4;
    std::vector<BenchCase> cases;
    nn::OptionTable experts("ffn");
    experts.set("n_experts", E);
    experts.set("expert_size", G);
    experts.set("k", K);
    experts.set("entropy_weight", 0.001);
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        double rows = static_cast<double>(3 * N);
        cases.push_back(layer("sigma-moe", experts, N, C, "E16 G128 K4", dtype, rows * static_cast<double>(4 * C * G * K + 2 * C * E)));
        for (Size F : {512, 2048}) {
            nn::OptionTable dense("ffn");
            dense.set("hidden", F);
            cases.push_back(layer("dense", dense, N, C, fmt::format("F{}", F), dtype, rows * static_cast<double>(4 * C * F)));
        }
    }
    return cases;
}

}  // namespace apps
