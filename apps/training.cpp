#include "apps/training.h"

#include "apps/runtime.h"
#include "engine/base/error.h"
#include "engine/comm/communicator.h"
#include "engine/io/atomic_file.h"

namespace apps {

using engine::expect;
using engine::fail;

namespace {

Outcome train_all_ranks(const RunFolder& folder, const Config& config, const data::TokenStore& store, const StopRules& rules,
                        const std::optional<fs::path>& init_from) {
    Runtime runtime(config.train.device, config.train.threads);
    Outcome outcome = Outcome::finished;
    auto train = [&](engine::Communicator* communicator) {
        TrainingRun run(config, folder, store, runtime.exec(communicator), init_from);
        Outcome own = run.train(rules);
        if (communicator == nullptr || communicator->rank() == 0) outcome = own;
    };
    if (config.parallel.ranks == 1) {
        train(nullptr);
    } else {
        engine::run_virtual_ranks(static_cast<int>(config.parallel.ranks),
                                  [&](engine::Communicator& communicator) { train(&communicator); });
    }
    return outcome;
}

}  // namespace

void check_trainable(const Config& config) {
    expect(config.train.steps.has_value(), "config", "train.steps must be given; hint: pass --set train.steps=…");
    const Config::Parallel& parallel = config.parallel;
    expect(!config.train.recompute, "config", "train.recompute is not built yet; hint: train.accumulate takes less memory, too");
    expect(parallel.zero == 0 && parallel.expert == 1 && parallel.table_shards == 1 && parallel.reduction == "exact", "config",
           "parallel.zero, expert, table_shards and reduction are not built yet; hint: leave them out");
    expect(!config.data.path.empty(), "config", "data.path must be given; hint: make one with `moegrad prepare`");
}

void check_resumable(const Config& config, const RunFolder& folder) {
    if (!folder.holds_run()) return;
    std::optional<ConfigDifference> difference = first_difference(load_config(folder.config()), config);
    if (!difference) return;
    fail("train", "{} cannot change when a run goes on: the run in {} has {}, now {}; hint: another --out, or --init-from for its weights",
         difference->name, folder.path().string(), difference->before.empty() ? "none" : difference->before,
         difference->now.empty() ? "none" : difference->now);
}

Outcome train_in(const RunFolder& folder, const Config& config, const data::TokenStore& store, const Plan& plan, const StopRules& rules,
                 const std::optional<fs::path>& init_from) {
    check_resumable(config, folder);
    fs::create_directories(folder.path());
    FolderLock lock(folder.path());
    std::optional<std::int64_t> latest = folder.latest();
    if (latest && *latest >= *config.train.steps) {
        fmt::print(stderr, "nothing to do: {} has done all {} steps\n", folder.path().string(), *latest);
        return Outcome::finished;
    }
    engine::io::write_file(folder.tokenizer(), store.tokenizer().description().dump(2) + "\n");
    engine::io::write_file(folder.plan(), plan_json(plan).dump(2) + "\n");
    // Last: a folder with a configuration is a run.
    engine::io::write_file(folder.config(), config_text(config));
    if (latest) fmt::print(stderr, "{} goes on from step {}\n", folder.path().string(), *latest);
    return train_all_ranks(folder, config, store, rules, init_from);
}

}  // namespace apps
