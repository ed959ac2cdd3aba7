#include "apps/sweep_time.h"

#include "apps/elapsed.h"
#include "apps/model_factory.h"
#include "apps/progress.h"
#include "apps/runtime.h"
#include "apps/step_layout.h"
#include "apps/sweep_results.h"
#include "apps/text_table.h"
#include "engine/tensor/transfer.h"
#include "nn/trainer.h"

#include <cmath>

namespace apps {
namespace {

using namespace engine;

// The faster of two steps after a first one, on random tokens, one rank, without data, logs and evaluations.
double measured_step(const SweepSide& side, Size vocab) {
    const Config& config = side.config;
    Runtime runtime(config.train.device, config.train.threads);
    Exec exec = runtime.exec();
    StepLayout layout = step_layout(config, 0, 1);
    std::unique_ptr<nn::LanguageModel> model = make_model(config, vocab);
    exec.shards = layout.shards_of_pass(0);
    nn::ParameterStore store(exec, *model, dtype_named(config.train.dtype), config.top.seed, true);
    nn::Trainer trainer(exec, *model, store, optimizer_options(config), layout.passes);
    nn::ModelMemory memory{.layers = {}, .limit = training_memory(config)};
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(layout.sequences * layout.context));
    for (std::size_t i = 0; i < tokens.size(); ++i)
        tokens[i] = static_cast<std::int32_t>((i * 2654435761U >> 7) % static_cast<std::size_t>(vocab));
    Tensor ids = from_host(exec, {layout.sequences, layout.context}, Dtype::i32, tokens);
    double best = INFINITY;
    for (int step = 0; step < 3; ++step) {
        auto begin = std::chrono::steady_clock::now();
        trainer.begin(config.top.seed, step, config.train.lr);
        for (int pass = 0; pass < layout.passes; ++pass) {
            exec.shards = layout.shards_of_pass(pass);
            trainer.pass(ids, ids, memory, layout.step_tokens());
        }
        trainer.finish();
        trainer.read();
        if (step > 0) best = std::min(best, seconds_since(begin));
    }
    return best;
}

}  // namespace

std::string time_text(const SweepFile& sweep, const std::vector<SweepSide>& sides) {
    TextTable table({"row", "s/step", "steps left", "time left", "from"});
    double total = 0;
    for (const SweepSide& side : sides) {
        SweepResult result = read_result(side, sweep.out);
        double seconds = NAN, left = 0;
        for (const SweepRun& run : result.tried) {
            if (run.report && std::isnan(seconds)) seconds = seconds_per_step(*run.report);
            if (!run.diverged) left += static_cast<double>(run.steps - run.step);
        }
        for (std::size_t s = 1; s < side.row->seeds.size(); ++s) {
            left += static_cast<double>(result.kept.empty() ? *side.config.train.steps : result.kept[s].steps - result.kept[s].step);
        }
        bool known = std::isfinite(seconds);
        if (!known) seconds = measured_step(side, side.vocab);
        total += seconds * left;
        table.add({side.name(), fmt::format("{:.4g}", seconds), fmt::format("{:.0f}", left), duration_text(seconds * left),
                   known ? "runs" : "two steps"});
    }
    return fmt::format("\n{}{} to train, on one process, without evaluations\n", table.text(), duration_text(total));
}

}  // namespace apps
