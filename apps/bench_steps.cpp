// Whole training steps: forward, loss, backward, clip, update.
#include "apps/bench_cases.h"
#include "engine/base/error.h"
#include "engine/tensor/transfer.h"
#include "moe/methods/table.h"
#include "nn/trainer.h"
#include "nn/transformer_xl.h"

namespace apps {

using namespace engine;

namespace {

constexpr Size kBatch = 8, kContext = 256, kVocab = 256;

// Window after window of random ids with memory, as the peers' script does it: 6 layers of 256 channels, 4 heads of 64, no dropout.
struct SmallXl {
    nn::TransformerXl model;
    nn::ParameterStore store;
    nn::Trainer trainer;
    nn::ModelMemory memory{{}, kContext};
    Tensor ids, targets;
    std::int64_t step = 0;

    SmallXl(Exec& exec, const char* method, const nn::OptionTable& options, Dtype dtype)
        : model({.vocab = kVocab, .channels = 256, .layers = 6, .heads = 4, .head_size = 64},
                [&](const nn::LayerPlace& place) { return moe::make_feed_forward(moe::method_named(method), options, place); }),
          store(exec, model, dtype, 1, true),
          trainer(exec, model, store, {.clip = 0.25}, 1),
          ids(exec, {kBatch, kContext}, Dtype::i32),
          targets(exec, {kBatch, kContext}, Dtype::i32) {
        std::vector<std::int32_t> tokens(static_cast<std::size_t>(kBatch * kContext));
        for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i * 2654435761u >> 7) & 255;
        copy_from_host(exec, ids, tokens);
        std::rotate(tokens.begin(), tokens.begin() + 1, tokens.end());
        copy_from_host(exec, targets, tokens);
    }
    void run() {
        trainer.begin(1, step++, 2.5e-4);
        trainer.pass(ids, targets, memory, kBatch * kContext);
        trainer.finish();
    }
};

BenchCase step(const char* method, const nn::OptionTable& options, const std::string& sizes, Dtype dtype, double feed_forward_flops) {
    // Per token: q, k, v and output, keys and values for the memory too, visible pairs; the positions once a sequence.
    constexpr double kC = 256, kSeen = kContext + (kContext + 1) / 2.0;
    double attention = 12 * kC * kC + 6 * kSeen * kC + 4 * kC * kC / kBatch;
    double flops = 3.0 * kBatch * kContext * (6 * (attention + feed_forward_flops) + 2 * kC * kVocab);
    BenchCase result{"step", fmt::format("xl {} {} d256 L6 8x256", method, sizes), dtype, flops, 0, nullptr};
    result.prepare = [=](Exec& exec) -> std::function<void()> {
        auto xl = std::make_shared<SmallXl>(exec, method, options, dtype);
        return [xl] { xl->run(); };
    };
    return result;
}

}  // namespace

std::vector<BenchCase> step_cases() {
    nn::OptionTable experts("ffn"), dense("ffn");
    experts.set("n_experts", Size{16});
    experts.set("expert_size", Size{64});
    experts.set("k", Size{4});
    experts.set("entropy_weight", 1e-4);
    dense.set("hidden", Size{1024});
    std::vector<BenchCase> cases;
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        cases.push_back(step("sigma-moe", experts, "E16 G64 K4", dtype, 4.0 * 4 * 256 * 64 + 2.0 * 256 * 16));
        cases.push_back(step("dense", dense, "F1024", dtype, 4.0 * 256 * 1024));
    }
    return cases;
}

}  // namespace apps
