#include "apps/training.h"

#include "apps/rank_topics.h"
#include "apps/runtime.h"
#include "apps/sharing.h"
#include "engine/base/error.h"
#include "engine/comm/communicator.h"
#include "engine/io/atomic_file.h"

#include <thread>

namespace apps {

using engine::expect;
using engine::fail;

namespace {

// The machine's cores are shared by the ranks on it.
Size threads_of(const Config& config, const RankGroup* group) {
    if (config.train.threads > 0 || group == nullptr) return config.train.threads;
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / group->local_size());
}

// A line each, of the command's options.
std::string shared_options(const RunFolder& folder, const StopRules& rules, const std::optional<fs::path>& init_from) {
    return fmt::format("--out {}\n--init-from {}\n--check-ranks {}", fs::absolute(folder.path()).string(),
                       init_from ? init_from->string() : "none", rules.check_ranks);
}

Outcome train_all_ranks(const RunFolder& folder, const Config& config, const data::TokenStore& store, const StopRules& rules,
                        const std::optional<fs::path>& init_from, const Runtime& runtime, RankGroup* group) {
    Outcome outcome = Outcome::finished;
    auto train = [&](engine::Communicator* communicator) {
        engine::Exec exec = runtime.exec(communicator);
        exec.sharing = sharing_of(config, communicator);
        TrainingRun run(config, folder, store, exec, init_from);
        try {
            Outcome own = run.train(rules);
            if (communicator == nullptr || communicator->rank() == 0 || group != nullptr) outcome = own;
        } catch (const engine::RankLost& lost) { throw engine::RankLost(fmt::format("{} (at step {})", lost.what(), run.step())); }
    };
    if (group != nullptr) {
        std::unique_ptr<engine::Communicator> gpus = group->gpu_ranks(runtime.exec().device);
        train(gpus ? gpus.get() : &group->communicator());
    } else if (config.parallel.ranks == 1) {
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
    expect(!config.train.recompute, "config", "train.recompute is not built yet; hint: train.accumulate takes less memory, too");
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
                 const std::optional<fs::path>& init_from, RankGroup* group) {
    if (group != nullptr) group->agree(rank_topics(config, store, shared_options(folder, rules, init_from)));
    // Before anything is made: the device may not be here.
    Runtime runtime(group != nullptr ? group->device_of(config.train.device) : config.train.device, threads_of(config, group));
    std::optional<FolderLock> lock;
    bool done = false;
    auto prepare = [&] {
        check_resumable(config, folder);
        if (init_from && !folder.holds_run()) checkpoint_of(*init_from);
        std::error_code bad;
        fs::create_directories(folder.path(), bad);
        expect(!bad, "train", "cannot make the run's folder: got {}: {}; hint: --out FOLDER, one that can be written",
               folder.path().string(), bad.message());
        lock.emplace(folder.path());
        std::optional<std::int64_t> latest = folder.latest();
        done = latest && *latest >= *config.train.steps;
        if (done) return fmt::print(stderr, "nothing to do: {} has done all {} steps\n", folder.path().string(), *latest);
        engine::io::write_file(folder.tokenizer(), store.tokenizer().description().dump(2) + "\n");
        engine::io::write_file(folder.plan(), plan_json(plan).dump(2) + "\n");
        // Last: a folder with a configuration is a run.
        engine::io::write_file(folder.config(), config_text(config));
        if (latest) fmt::print(stderr, "{} goes on from step {}\n", folder.path().string(), *latest);
    };
    if (group == nullptr) {
        prepare();
    } else {
        group->first_does(prepare);
        std::optional<std::int64_t> latest = folder.latest();
        group->agree({{"checkpoint", fmt::format("step {} in {}", latest.value_or(0), fs::absolute(folder.path()).string())}});
        done = group->communicator().any(done);
    }
    return done ? Outcome::finished : train_all_ranks(folder, config, store, rules, init_from, runtime, group);
}

}  // namespace apps
