// Whole feed-forward layers, forward and backward.
#include "apps/bench_cases.h"
#include "engine/autograd/tape.h"
#include "engine/base/error.h"
#include "moe/methods/table.h"
#include "nn/parameter_store.h"

namespace apps {

using namespace engine;

namespace {

using Options = std::map<std::string, nn::OptionValue>;

struct LayerShape {
    Size N, C;
    Options options;
};

nn::OptionTable table_of(const Options& options) {
    nn::OptionTable table("ffn");
    for (const auto& [name, value] : options) table.set(name, value);
    return table;
}

std::string text_of(const LayerShape& shape) {
    std::string text = fmt::format("N{} C{}", shape.N, shape.C);
    for (const auto& [name, value] : shape.options) text += fmt::format(" {}={}", name, nn::option_text(value));
    return text;
}

BenchCase layer(const char* method, const LayerShape& shape, Dtype dtype) {
    nn::OptionTable options = table_of(shape.options);
    nn::LayerPlace place{shape.C, 0, 1};
    // Backward is two products for each of forward's.
    double flops = 3.0 * static_cast<double>(shape.N) *
                   static_cast<double>(moe::make_feed_forward(moe::method_named(method), options, place)->flops_per_row().forward);
    BenchCase result{method, text_of(shape), dtype, flops, 0, nullptr};
    result.prepare = [=, N = shape.N, C = shape.C](Exec& exec) -> std::function<void()> {
        std::shared_ptr<nn::FeedForward> feed_forward = moe::make_feed_forward(moe::method_named(method), options, place);
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

Options experts(Options more) {
    more.insert({{"n_experts", 16}, {"expert_size", 128}});
    more.try_emplace("k", 4);
    return more;
}

}  // namespace

std::vector<BenchCase> layer_cases() {
    const std::pair<const char*, LayerShape> shapes[] = {
        {"sigma-moe", {8192, 512, experts({{"entropy_weight", 0.001}})}},
        {"dense", {8192, 512, {{"hidden", 512}}}},
        {"dense", {8192, 512, {{"hidden", 2048}}}},
        {"softmax-after", {8192, 512, experts({{"entropy_weight", 0.001}})}},
        {"softmax-before", {8192, 512, experts({{"entropy_weight", 0.001}})}},
        {"switch", {8192, 512, experts({{"balance_weight", 0.01}})}},
        {"gshard", {8192, 512, {{"n_experts", 16}, {"expert_size", 256}, {"balance_weight", 0.01}}}},
        {"peer", {4096, 256, {{"sub_keys", 256}, {"heads", 8}, {"k", 16}, {"query_size", 256}, {"query_norm", "batch"}}}},
        {"pkm", {4096, 512, {{"sub_keys", 256}, {"heads", 4}, {"k", 32}, {"query_size", 512}, {"query_norm", "batch"}}}},
    };
    std::vector<BenchCase> cases;
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (const auto& [method, shape] : shapes) cases.push_back(layer(method, shape, dtype));
    }
    return cases;
}

}  // namespace apps
