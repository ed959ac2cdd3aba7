// What a step costs beside its kernels: a step on the dry device is the tape, the checks and the pool alone.
#include "apps/model_factory.h"
#include "apps/step_layout.h"
#include "engine/base/threads.h"
#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"
#include "nn/trainer.h"
#include "tests/support/small_runs.h"

#include <algorithm>
#include <chrono>
#include <fstream>

#include <doctest/doctest.h>

using namespace engine;

namespace {

double median_step_seconds(const apps::Config& config, Device device, int steps) {
    Pool pool(device);
    auto model = apps::make_model(config, 256);
    Exec exec{.device = device, .pool = &pool};
    apps::StepLayout layout = apps::step_layout(config, 0, 1);
    exec.shards = layout.shards_of_pass(0);
    nn::ParameterStore store(exec, *model, Dtype::f32, 0, true);
    nn::Trainer trainer(exec, *model, store, apps::optimizer_options(config), 1);
    nn::ModelMemory memory{.layers = {}, .limit = layout.context};
    Tensor ids = zeros(exec, {layout.sequences, layout.context}, Dtype::i32);
    std::vector<double> seconds;
    for (int step = 0; step < steps; ++step) {
        auto begin = std::chrono::steady_clock::now();
        trainer.begin(0, step, 1e-3);
        trainer.pass(ids, ids, memory, layout.step_tokens());
        trainer.finish();
        seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    memory.clear();
    model.reset();
    std::sort(seconds.begin(), seconds.end());
    return seconds[seconds.size() / 2];
}

}  // namespace

TEST_CASE("the tape, its checks and its memory cost at most one percent of a step of the quickstart's model") {
    apps::Config config = apps::load_config("apps/configs/quickstart-sigma-moe.toml");
    double own = median_step_seconds(config, {DeviceKind::dry, 0}, 51), whole = median_step_seconds(config, {}, 3);
    MESSAGE("the tape's own share of a step: ", 100 * own / whole, " %");
    CHECK(own <= 0.01 * whole);
}

TEST_CASE("a training process holds at most 1.15 times the memory of its tensors") {
#if defined(__SANITIZE_ADDRESS__)
    MESSAGE("skipped: AddressSanitizer holds memory of its own");
#else
    if (tests::resident_bytes() > 100e6) {
        MESSAGE("skipped: other tests have left memory in this process; each file by itself, as ctest runs it, is measured");
        return;
    }
    tests::SmallRuns runs;
    // Large enough that the program itself, some 20 MB, is small beside its tensors.
    tests::Arguments settings{"model.channels=256",   "model.layers=4",     "model.heads=4",      "model.head_size=64",
                              "ffn.n_experts=16",     "ffn.expert_size=64", "data.context=128",   "train.batch=16",
                              "train.micro_batch=16", "train.steps=3",      "train.eval_every=0", "train.threads=2"};
    tests::Arguments long_text = runs.train("run", settings);
    {
        std::ofstream text(runs / "long.txt");
        for (int i = 0; i < 6000; ++i) text << "line " << i << " of a longer text\n";
    }
    REQUIRE(tests::run_program({"prepare", (runs / "long.txt").string(), "--tokenizer", "bytes", "--out", (runs / "long").string()}).code ==
            0);
    long_text.insert(long_text.end(), {"--set", "data.path=" + (runs / "long").string()});
    double resident = tests::peak_resident_bytes(long_text);
    std::ifstream plan(runs / "run/plan.json");
    double tensors = nlohmann::json::parse(plan)["memory_bytes"]["total"];
    MESSAGE("resident ", resident / 1e6, " MB, tensors ", tensors / 1e6, " MB: ", resident / tensors);
    CHECK(resident <= 1.15 * tensors);
    CHECK(resident >= 0.9 * tensors);
#endif
}
