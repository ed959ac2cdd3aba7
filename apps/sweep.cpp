// moegrad sweep: trains the rows of a comparison, one run after another.
#include "apps/command.h"
#include "apps/evaluation_record.h"
#include "apps/loaded_run.h"
#include "apps/report_page.h"
#include "apps/signals.h"
#include "apps/sweep_results.h"
#include "apps/sweep_time.h"
#include "apps/training.h"
#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>

namespace apps {
namespace {

using engine::expect;

struct SweepArguments {
    std::string file, shard = "1/1";
    std::vector<std::string> settings;
    bool dry_run = false, list = false;
};

struct Shard {
    std::size_t index = 0, count = 1;
    bool has(std::size_t side) const { return side % count == index; }
};

Shard parse_shard(const std::string& text) {
    unsigned index = 0, count = 0;
    char rest = 0;
    if (std::sscanf(text.c_str(), "%u/%u%c", &index, &count, &rest) != 2 || index < 1 || index > count) {
        throw engine::UsageError(fmt::format("[usage] --shard is wrong: got {}, expected like 2/4", nn::option_text(text)));
    }
    return {index - 1, count};
}

class Stores {
  public:
    const data::TokenStore& at(const std::string& path) {
        auto& store = stores_[path];
        if (!store) store = std::make_unique<data::TokenStore>(path);
        return *store;
    }

  private:
    std::map<std::string, std::unique_ptr<data::TokenStore>> stores_;
};

// The rows in their order, the runs that all of them need first before further seeds.
class Sweep {
  public:
    Sweep(const SweepFile& file, std::vector<SweepSide> sides, Stores& stores, Shard shard)
        : file_(file), sides_(std::move(sides)), stores_(stores), shard_(shard) {}

    // True where every run of this shard is done.
    bool run() {
        fs::create_directories(file_.out);
        write_results();
        std::size_t rounds = 1;
        for (const SweepSide& side : sides_) rounds = std::max(rounds, side.row->seeds.size());
        for (std::size_t round = 0; round < rounds; ++round) {
            for (std::size_t i = 0; i < sides_.size(); ++i) {
                if (shard_.has(i) && !run_round(sides_[i], round)) return false;
            }
        }
        return true;
    }

    std::string table() const { return sweep_table(sides_, results()); }

  private:
    std::vector<SweepResult> results() const {
        std::vector<SweepResult> all;
        for (const SweepSide& side : sides_) all.push_back(read_result(side, file_.out));
        return all;
    }

    // Round 0 trains the first seed with every rate, round r the seed r with the best of them.
    bool run_round(const SweepSide& side, std::size_t round) {
        const SweepRow& row = *side.row;
        if (round >= row.seeds.size()) return true;
        if (round == 0) {
            for (double rate : row.rates) {
                if (!train(side, row.seeds.front(), rate)) return false;
            }
        }
        SweepResult result = read_result(side, file_.out);
        if (!result.rate) return true;  // all diverged
        if (round > 0 && !train(side, row.seeds[round], *result.rate)) return false;
        SweepRun run = read_sweep_run(side, file_.out, row.seeds[round], *result.rate);
        if (!run.diverged && std::isnan(run.test)) {
            evaluate_split(side, run, "test");
            write_results();
        }
        return !stop_was_asked();
    }

    // False where it was asked to stop.
    bool train(const SweepSide& side, Size seed, double rate) {
        if (stop_was_asked()) return false;
        SweepRun run = read_sweep_run(side, file_.out, seed, rate);
        if (!run.trained()) {
            fmt::print(stderr, "{}  lr {}  seed {}\n", side.name(), rate, seed);
            Config config = side.config_of(seed, rate);
            try {
                if (train_in(run.folder, config, stores_.at(config.data.path), side.plan, {}) == Outcome::stopped) return false;
            } catch (const Diverged& error) {
                fmt::print(stderr, "{}\n", error.what());
                engine::io::write_file(diverged_file(run.folder), std::string(error.what()) + "\n");
            }
            run = read_sweep_run(side, file_.out, seed, rate);
        }
        if (run.diverged || !std::isnan(run.valid)) return true;
        evaluate_split(side, run, "valid");
        write_results();
        return true;
    }

    void evaluate_split(const SweepSide& side, const SweepRun& run, const std::string& split) {
        LoadedRun loaded({.run = run.folder.path().string(), .device = {}, .threads = side.config.train.threads});
        Evaluation result =
            evaluate(loaded.exec, *loaded.model, stores_.at(side.config.data.path), split, evaluation_options(loaded.config));
        record_evaluation(run.folder, loaded.step, result);
        fmt::print(stderr, "{}  {:.4f} bits per byte on {}\n", side.name(), result.bits_per_byte(), split);
    }

    void write_results() const {
        // Shards take turns; the last one has seen what all others wrote.
        FolderLock lock(file_.out, FolderLock::Busy::wait);
        std::vector<SweepResult> all = results();
        engine::io::write_file(file_.out / "sweep.json", sweep_document(file_, sides_, all).dump(2) + "\n");
        std::vector<RunReport> reports;
        for (std::size_t i = 0; i < sides_.size(); ++i) {
            for (const SweepRun& run : all[i].kept) {
                if (!run.report) continue;
                reports.push_back(*run.report);
                reports.back().name = sides_[i].name();
                if (all[i].kept.size() > 1) reports.back().name += fmt::format(" seed {}", run.seed);
            }
        }
        if (!reports.empty()) engine::io::write_file(file_.out / "report.html", report_page(reports));
    }

    const SweepFile& file_;
    std::vector<SweepSide> sides_;
    Stores& stores_;
    Shard shard_;
};

void print_list(const SweepFile& file, const std::vector<SweepSide>& sides) {
    for (const SweepSide& side : sides) {
        for (std::size_t s = 0; s < side.row->seeds.size(); ++s) {
            SweepResult result = read_result(side, file.out);
            if (s > 0 && !result.rate) {
                std::cout << fmt::format("{}  seed {}: waits for the choice of a learning rate\n", side.name(), side.row->seeds[s]);
                continue;
            }
            for (const SweepRun& run : s == 0 ? result.tried : std::vector<SweepRun>{result.kept[s]}) {
                std::string bits = std::isnan(run.valid) ? "" : fmt::format("  valid {:.4f}", run.valid);
                if (!std::isnan(run.test)) bits += fmt::format("  test {:.4f}", run.test);
                std::cout << fmt::format("{}  {}  step {}/{}{}\n", run.folder.path().string(), state_of(run), run.step, run.steps, bits);
            }
        }
    }
    std::cout << std::flush;
}

int run_sweep(const SweepArguments& arguments) {
    Shard shard = parse_shard(arguments.shard);
    SweepFile file = load_sweep(arguments.file);
    for (SweepRow& row : file.rows) {
        for (Config& config : row.configs) {
            for (const std::string& setting : arguments.settings) set_config(config, setting);
        }
    }
    Stores stores;
    std::vector<SweepSide> sides = solve_sweep(file, [&](const std::string& path) -> const data::TokenStore& { return stores.at(path); });
    if (arguments.list) {
        print_list(file, sides);
        return kDone;
    }
    std::cout << grid_text(sides) << std::flush;
    if (arguments.dry_run) {
        std::cout << time_text(file, sides) << std::flush;
        return kDone;
    }
    watch_signals();
    Sweep sweep(file, std::move(sides), stores, shard);
    bool done = sweep.run();
    std::cout << "\n" << sweep.table() << fmt::format("report: {}\n", (file.out / "report.html").string()) << std::flush;
    if (done) return kDone;
    fmt::print(stderr, "stopped and saved; the same command goes on\n");
    return kStoppedEarly;
}

}  // namespace

std::function<int()> add_sweep(CLI::App& app) {
    auto arguments = std::make_shared<SweepArguments>();
    app.add_option("FILE", arguments->file, "the sweep's TOML file")->required();
    app.add_option("--set", arguments->settings, "section.key=value of every row's configuration")->allow_extra_args(false);
    app.add_option("--shard", arguments->shard, "I/N: only every N-th row, beginning with the I-th; N processes share a sweep");
    app.add_flag("--dry-run", arguments->dry_run, "find the widths, check everything, time a step of each row");
    app.add_flag("--list", arguments->list, "the runs and how far they are");
    app.footer("Keys of the file:\n" + sweep_help());
    return [arguments] { return run_sweep(*arguments); };
}

}  // namespace apps
