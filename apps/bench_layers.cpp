// Whole feed-forward layers, forward and backward.
#include "apps/bench_cases.h"
#include "engine/autograd/tape.h"
#include "engine/base/error.h"
#include "engine/base/philox.h"
#include "engine/base/visit.h"
#include "engine/kernels/step_scalars.h"
#include "engine/tensor/transfer.h"
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

// Seed and step of the random numbers, where the exec finds them.
Tensor give_scalars(Exec& exec) {
    Tensor room = zeros(exec, {static_cast<Size>(sizeof(StepScalars) / sizeof(std::int32_t))}, Dtype::i32);
    auto* scalars = static_cast<StepScalars*>(room.address());
    visit_device(exec, [&]<class D>(D) { kernels::write_scalars<D>(exec, scalars, StepScalars{.seed = 1}); });
    exec.scalars = scalars;
    return room;
}

// Token ids, each as likely.
Tensor random_ids(Exec& exec, Size count, Size vocab) {
    std::vector<std::int32_t> ids;
    for (Size i = 0; i < count; ++i) {
        std::uint32_t bits = random_bits(7, 0, 1, static_cast<std::uint64_t>(i));
        ids.push_back(static_cast<std::int32_t>(bits % static_cast<std::uint64_t>(vocab)));
    }
    return from_host(exec, {count}, Dtype::i32, ids);
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
        nn::RowContext context;
        if (feed_forward->reads_token_ids()) context.token_ids_N = random_ids(exec, N, options.size("vocab"));
        return [=, &exec, scalars = give_scalars(exec)] {
            store->begin_pass();
            Tape tape(exec);
            Var input(x, true);
            nn::FeedForwardResult out = feed_forward->forward(tape, input, context);
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
        // The same 512 active cells a token, but that one of deepseek's experts is shared, and base has one large expert.
        {"noisy-topk", {8192, 512, experts({{"cv_weight", 0.001}})}},
        {"base", {8192, 512, {{"n_experts", 16}, {"expert_size", 512}}}},
        {"s-base", {8192, 512, experts({})}},
        {"hash", {8192, 512, experts({{"vocab", 8000}})}},
        {"rand-hash", {8192, 512, experts({{"vocab", 8000}})}},
        {"expert-choice", {8192, 512, {{"n_experts", 16}, {"expert_size", 128}, {"capacity_factor", 4.0}}}},
        {"deepseek", {8192, 512, experts({{"k", 3}, {"n_shared", 1}, {"balance_weight", 0.001}, {"bias_rate", 0.001}})}},
        {"avg-k", {8192, 512, experts({})}},
        {"vanilla-m", {8192, 512, experts({})}},
        // 16,384 cells in blocks of 64, 1,024 of them active.
        {"avg-k", {4096, 512, {{"n_experts", 256}, {"expert_size", 64}, {"k", 16}}}},
        {"avg-k", {4096, 512, {{"n_experts", 256}, {"expert_size", 64}, {"k", 16}, {"gate", "softmax-chosen"}}}},
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
