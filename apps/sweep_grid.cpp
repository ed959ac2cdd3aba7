#include "apps/sweep_grid.h"

#include "apps/byte_progress.h"
#include "apps/model_factory.h"
#include "apps/report_summary.h"
#include "apps/text_table.h"
#include "apps/training.h"
#include "apps/width_solver.h"
#include "engine/base/error.h"

#include <cmath>
#include <map>

namespace apps {
namespace {

using engine::expect;
using engine::fail;

double amount_of(const Plan& plan, Match match) {
    return match == Match::flops ? plan.flops_per_token.forward : static_cast<double>(plan.parameters);
}

std::string amount_text(double amount, Match match) {
    return fmt::format("{:.0f} {}", amount, match == Match::flops ? "FLOPs a token" : "parameters");
}

// The rows at one size.
class SizeSolver {
  public:
    SizeSolver(const SweepFile& sweep, std::size_t size, const OpenStore& open) : sweep_(sweep), size_(size), open_(open) {}

    const SweepSide& side_of(const std::string& name) {
        auto known = sides_.find(name);
        if (known != sides_.end()) return known->second;
        for (const SweepRow& row : sweep_.rows) {
            if (row.name == name) return sides_[name] = solved(row);
        }
        fail("sweep", "no such row: got {}", name);
    }

  private:
    SweepSide solved(const SweepRow& row) {
        SweepSide side{.row = &row, .size = sweep_.sizes[size_], .config = row.configs[size_]};
        try {
            if (sweep_.budgets.front() > 0) side.config.train.steps = 1;  // until the FLOPs of a step are known
            check_trainable(side.config);
            const data::TokenStore& store = open_(side.config.data.path);
            side.vocab = vocab_of(side.config, store.vocab());
            if (row.match != Match::none) find_width(side, side_of(row.reference));
            side.plan = make_plan(side.config, side.vocab);
            data::TrainingStreams(store.split("train"), *side.config.train.batch, context_of(side.config));
        } catch (const engine::Error& error) {
            std::string text = error.what();
            if (text.starts_with("[sweep]")) throw;
            fail("sweep", "row {}: {}", side.name(), text);
        }
        return side;
    }

    void find_width(SweepSide& side, const SweepSide& reference) const {
        const SweepRow& row = *side.row;
        double target = amount_of(reference.plan, row.match);
        auto with = [&](Size width) {
            Config config = side.config;
            set_config(config, fmt::format("{}={}", row.solve, width));
            return config;
        };
        Width found =
            nearest_width(target, row.multiple, [&](Size width) { return amount_of(count_model(with(width), side.vocab), row.match); });
        side.config = with(found.width);
        side.width = found.width;
        side.difference = 100 * (found.amount - target) / target;
        expect(std::abs(side.difference) <= row.tolerance, "sweep",
               "row {} cannot be brought to {}: the nearest is {} = {} with {}, {} has {}, {:+.2f} %, allowed {} %; hint: another solve, "
               "multiple or tolerance",
               side.name(), row.reference, row.solve, found.width, amount_text(found.amount, row.match), row.reference,
               amount_text(target, row.match), side.difference, row.tolerance);
    }

    const SweepFile& sweep_;
    std::size_t size_;
    const OpenStore& open_;
    std::map<std::string, SweepSide> sides_;
};

void spend(SweepSide& side, double budget) {
    if (budget == 0) return;
    side.budget = budget;
    double step = kTrainingPasses * side.plan.flops_per_token.forward * static_cast<double>(side.plan.tokens_per_step);
    Size steps = std::llround(budget / step);
    expect(steps > side.config.train.warmup, "sweep",
           "row {}: a budget of {:g} FLOPs is {} steps of {:g}, no more than train.warmup = {}; hint: larger budgets", side.name(), budget,
           steps, step, side.config.train.warmup);
    side.config.train.steps = steps;
}

}  // namespace

std::string SweepSide::name() const {
    std::string name;
    if (!size.empty()) name += size + "/";
    if (budget > 0) name += fmt::format("flops-{:g}/", budget);
    return name + row->name;
}

Config SweepSide::config_of(Size seed, double rate) const {
    Config own = config;
    own.top.seed = seed;
    own.train.lr = rate;
    return own;
}

RunFolder SweepSide::folder_of(const fs::path& out, Size seed, double rate) const {
    return RunFolder(out / name() / fmt::format("lr-{}", rate) / fmt::format("seed-{}", seed));
}

std::vector<SweepSide> solve_sweep(const SweepFile& sweep, const OpenStore& open) {
    std::vector<SweepSide> sides;
    for (std::size_t size = 0; size < sweep.sizes.size(); ++size) {
        SizeSolver solver(sweep, size, open);
        for (double budget : sweep.budgets) {
            for (const SweepRow& row : sweep.rows) {
                sides.push_back(solver.side_of(row.name));
                spend(sides.back(), budget);
            }
        }
    }
    for (const SweepSide& side : sides) {
        for (Size seed : side.row->seeds) {
            for (double rate : side.row->rates) check_resumable(side.config_of(seed, rate), side.folder_of(sweep.out, seed, rate));
        }
    }
    return sides;
}

std::string grid_text(const std::vector<SweepSide>& sides) {
    TextTable table({"row", "method", "width", "parameters", "active", "FLOPs/token", "to choose", "match", "steps", "memory"});
    for (const SweepSide& side : sides) {
        const SweepRow& row = *side.row;
        bool matched = row.match != Match::none;
        std::string width = matched ? fmt::format("{} = {}", row.solve.substr(row.solve.find('.') + 1), side.width) : "given";
        std::string match =
            matched ? fmt::format("{:+.2f} % {} of {}", side.difference, row.match == Match::flops ? "FLOPs" : "parameters", row.reference)
                    : "-";
        table.add({side.name(), method_name(side.config), width, fmt::format("{}", side.plan.parameters),
                   fmt::format("{}", side.plan.active_parameters), count_text(side.plan.flops_per_token.forward),
                   count_text(side.plan.flops_per_token.selector), match, fmt::format("{}", *side.config.train.steps),
                   bytes_text(static_cast<double>(side.plan.memory_total()))});
    }
    return table.text();
}

}  // namespace apps
