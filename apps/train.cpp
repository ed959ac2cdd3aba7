#include "apps/command.h"
#include "apps/model_factory.h"
#include "apps/option_checks.h"
#include "apps/plan.h"
#include "apps/rank_group.h"
#include "apps/rank_options.h"
#include "apps/signals.h"
#include "apps/training.h"
#include "engine/base/error.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>

namespace apps {
namespace {

struct TrainArguments {
    std::string config, out, time_limit, init_from;
    std::vector<std::string> settings;
    std::optional<std::int64_t> stop_at;
    double rank_timeout = 600;
    std::int64_t check_ranks = 0;
    RankOptions rank;
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

// The launcher's ranks are the run's.
void set_ranks(Config& config, const RankEnvironment& environment) {
    if (environment.size == 1) return;
    engine::expect(config.parallel.ranks == 1 || config.parallel.ranks == environment.size, "ranks",
                   "parallel.ranks is not what {} started: got {}, expected {}; hint: leave parallel.ranks to the launcher",
                   environment.launcher, config.parallel.ranks, environment.size);
    config.parallel.ranks = environment.size;
}

Config config_of(const TrainArguments& arguments, const RankEnvironment& environment) {
    Config config = load_config(arguments.config);
    for (const std::string& setting : arguments.settings) set_config(config, setting);
    set_ranks(config, environment);
    return config;
}

int run_train(const TrainArguments& arguments) {
    RankEnvironment environment = rank_environment(arguments.rank);
    Config config = config_of(arguments, environment);
    if (arguments.print_config) {
        std::cout << config_text(config) << std::flush;
        return kDone;
    }
    StopRules rules{.at_step = arguments.stop_at, .check_ranks = arguments.check_ranks};
    if (!arguments.time_limit.empty()) rules.after_seconds = parse_duration(arguments.time_limit);
    check_trainable(config);
    data::TokenStore store(config.data.path);
    Plan plan = make_plan(config, vocab_of(config, store.vocab()));
    if (arguments.dry_run) {
        std::cout << plan_text(plan) << std::flush;
        return kDone;
    }
    RunFolder folder(arguments.out.empty() ? fs::path("runs") / fs::path(arguments.config).stem() : fs::path(arguments.out));
    std::optional<fs::path> init_from;
    if (!arguments.init_from.empty()) init_from = arguments.init_from;
    watch_signals();
    std::unique_ptr<RankGroup> group = RankGroup::join(environment, arguments.rank_timeout);
    auto train = [&] {
        if (train_in(folder, config, store, plan, rules, init_from, group.get()) == Outcome::finished) return kDone;
        if (!group || group->is_first()) fmt::print(stderr, "stopped and saved; the same command goes on\n");
        return kStoppedEarly;
    };
    return group ? group->guard(train) : train();
}

void add_options(CLI::App& app, TrainArguments* arguments) {
    app.add_option("-c,--config", arguments->config, "the run's TOML file")->required();
    app.add_option("--set", arguments->settings, "section.key=value, over the file")->allow_extra_args(false);
    app.add_option("--out", arguments->out, "the run's folder; one that holds a run goes on (default: runs/<the file's stem>)");
    app.add_flag("--dry-run", arguments->dry_run, "check everything and print the plan");
    app.add_flag("--print-config", arguments->print_config, "print the effective configuration");
    app.add_option("--stop-at", arguments->stop_at, "save at this step and exit with 75")->check(not_negative());
    app.add_option("--time-limit", arguments->time_limit, "save after this time and exit with 75: 2h, 30m, 90s");
    app.add_option("--init-from", arguments->init_from, "take weights by name from this run");
    app.add_option("--check-ranks", arguments->check_ranks, "compare a hash of the ranks' weights every so many steps (default: never)")
        ->check(positive());
    add_rank_options(app, arguments->rank, arguments->rank_timeout);
    app.footer("Keys of the configuration:\n" + config_help());
}

}  // namespace

std::function<int()> add_train(CLI::App& app) {
    auto arguments = std::make_shared<TrainArguments>();
    add_options(app, arguments.get());
    return [arguments] { return run_train(*arguments); };
}

void check_train(std::vector<std::string> words, int ranks) {
    TrainArguments arguments;
    CLI::App app;
    add_options(app, &arguments);
    std::reverse(words.begin(), words.end());
    try {
        app.parse(words);
    } catch (const CLI::Success&) { return; } catch (const CLI::ParseError& error) {
        throw wrong_usage(error.what());
    }
    Config config = config_of(arguments, {.size = ranks, .local_rank = {}, .launcher = "launch", .meeting = {}, .hint = {}});
    if (arguments.print_config) return;
    check_trainable(config);
    make_plan(config, vocab_of(config, data::TokenStore(config.data.path, data::Verify::sizes).vocab()));
}

}  // namespace apps
