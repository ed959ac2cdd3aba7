#include "apps/command.h"
#include "apps/model_factory.h"
#include "apps/plan.h"
#include "apps/runtime.h"
#include "apps/signals.h"
#include "apps/training_run.h"
#include "engine/base/error.h"
#include "engine/comm/communicator.h"
#include "engine/io/atomic_file.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

namespace apps {
namespace {

using engine::expect;
using engine::fail;

struct TrainArguments {
    std::string config, out, time_limit, init_from;
    std::vector<std::string> settings;
    std::optional<std::int64_t> stop_at;
    bool dry_run = false, print_config = false;
};

// "2h", "30m", "90s", "1h30m"
double parse_duration(const std::string& text) {
    double total = 0;
    std::size_t at = 0;
    while (at < text.size()) {
        std::size_t used = 0;
        double value = -1;
        try {
            value = std::stod(text.substr(at), &used);
        } catch (const std::exception&) { value = -1; }
        char unit = at + used < text.size() ? text[at + used] : 's';
        double seconds = unit == 'h' ? 3600 : unit == 'm' ? 60 : unit == 's' ? 1 : 0;
        if (value < 0 || seconds == 0) {
            throw engine::UsageError(
                fmt::format("[usage] --time-limit is no time: got {}, expected like 2h, 30m or 90s", nn::option_text(text)));
        }
        total += value * seconds;
        at += used + 1;
    }
    return total;
}

// The folder's own configuration decides what may still change.
void check_resumable(const Config& config, const RunFolder& folder) {
    std::optional<ConfigDifference> difference = first_difference(load_config(folder.config()), config);
    if (!difference) return;
    fail("train", "{} cannot change when a run goes on: the run in {} has {}, now {}; hint: another --out, or --init-from for its weights",
         difference->name, folder.path().string(), difference->before.empty() ? "none" : difference->before,
         difference->now.empty() ? "none" : difference->now);
}

// A name that is wrong in every rank's view is said once, before anything is written.
void check_settings(const Config& config) {
    expect(config.train.steps.has_value(), "config", "train.steps must be given; hint: pass --set train.steps=…");
    const Config::Parallel& parallel = config.parallel;
    expect(!config.train.recompute, "config", "train.recompute is not built yet; hint: train.accumulate takes less memory, too");
    expect(parallel.zero == 0 && parallel.expert == 1 && parallel.table_shards == 1 && parallel.reduction == "exact", "config",
           "parallel.zero, expert, table_shards and reduction are not built yet; hint: leave them out");
    expect(!config.data.path.empty(), "config", "data.path must be given; hint: make one with `moegrad prepare`");
}

Outcome train_all_ranks(const Config& config, const RunFolder& folder, const data::TokenStore& store, const TrainArguments& arguments,
                        const StopRules& rules) {
    Runtime runtime(config.train.device, config.train.threads);
    std::optional<fs::path> init_from;
    if (!arguments.init_from.empty()) init_from = arguments.init_from;
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

int run_train(const TrainArguments& arguments) {
    Config config = load_config(arguments.config);
    for (const std::string& setting : arguments.settings) set_config(config, setting);
    if (arguments.print_config) {
        std::cout << config_text(config) << std::flush;
        return kDone;
    }
    StopRules rules{.at_step = arguments.stop_at};
    if (!arguments.time_limit.empty()) rules.after_seconds = parse_duration(arguments.time_limit);
    check_settings(config);
    data::TokenStore store(config.data.path);
    Plan plan = make_plan(config, vocab_of(config, store.vocab()));
    if (arguments.dry_run) {
        std::cout << plan_text(plan) << std::flush;
        return kDone;
    }
    RunFolder folder(arguments.out.empty() ? fs::path("runs") / fs::path(arguments.config).stem() : fs::path(arguments.out));
    if (folder.holds_run()) check_resumable(config, folder);
    fs::create_directories(folder.path());
    FolderLock lock(folder.path());
    std::optional<std::int64_t> latest = folder.latest();
    if (latest && *latest >= *config.train.steps) {
        fmt::print(stderr, "nothing to do: {} has done all {} steps\n", folder.path().string(), *latest);
        return kDone;
    }
    engine::io::write_file(folder.tokenizer(), store.tokenizer().description().dump(2) + "\n");
    engine::io::write_file(folder.plan(), plan_json(plan).dump(2) + "\n");
    // Last: a folder with a configuration is a run.
    engine::io::write_file(folder.config(), config_text(config));
    if (latest) fmt::print(stderr, "{} goes on from step {}\n", folder.path().string(), *latest);
    watch_signals();
    Outcome outcome = train_all_ranks(config, folder, store, arguments, rules);
    if (outcome == Outcome::finished) return kDone;
    fmt::print(stderr, "stopped and saved; the same command goes on\n");
    return kStoppedEarly;
}

}  // namespace

std::function<int()> add_train(CLI::App& app) {
    auto arguments = std::make_shared<TrainArguments>();
    app.add_option("-c,--config", arguments->config, "the run's TOML file")->required();
    app.add_option("--set", arguments->settings, "section.key=value, over the file")->allow_extra_args(false);
    app.add_option("--out", arguments->out, "the run's folder; one that holds a run goes on (default: runs/<the file's stem>)");
    app.add_flag("--dry-run", arguments->dry_run, "check everything and print the plan");
    app.add_flag("--print-config", arguments->print_config, "print the effective configuration");
    app.add_option("--stop-at", arguments->stop_at, "save at this step and exit with 75")->check(CLI::NonNegativeNumber);
    app.add_option("--time-limit", arguments->time_limit, "save after this time and exit with 75: 2h, 30m, 90s");
    app.add_option("--init-from", arguments->init_from, "take weights by name from this run");
    app.footer("Keys of the configuration:\n" + config_help());
    return [arguments] { return run_train(*arguments); };
}

}  // namespace apps
