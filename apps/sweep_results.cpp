#include "apps/sweep_results.h"

#include "apps/json_lines.h"
#include "apps/model_factory.h"
#include "apps/progress.h"
#include "apps/report_summary.h"
#include "apps/seed_groups.h"
#include "apps/text_table.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace apps {
namespace {

using Json = nlohmann::ordered_json;

double bits_at_end(const RunReport& run, const std::string& split, std::int64_t step) {
    const EvaluationRecord* last = last_evaluation(run, split);
    return last != nullptr && last->step == static_cast<double>(step) ? last->bits_per_byte : kNoNumber;
}

template <class Value>
ValueSpread spread_of(const std::vector<SweepRun>& runs, Value value) {
    std::vector<double> values;
    values.reserve(runs.size());
    for (const SweepRun& run : runs) values.push_back(value(run));
    return value_spread(values);
}

double valid_of(const SweepRun& run) { return run.valid; }
double test_of(const SweepRun& run) { return run.test; }
double seconds_of(const SweepRun& run) { return run.report ? seconds_per_step(*run.report) : kNoNumber; }

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

double usage_of(const SweepRun& run) { return run.report ? summarise_balance(*run.report).usage : kNoNumber; }
double dead_of(const SweepRun& run) { return run.report ? summarise_balance(*run.report).dead_experts : kNoNumber; }
double violation_of(const SweepRun& run) { return run.report ? summarise_balance(*run.report).max_violation : kNoNumber; }
double unevenness_of(const SweepRun& run) { return run.report ? summarise_balance(*run.report).unevenness : kNoNumber; }

// Means over the seeds.
Json balance_json(const std::vector<SweepRun>& runs) {
    return {{"usage", number(spread_of(runs, usage_of).mean)},
            {"max_vio", number(spread_of(runs, violation_of).mean)},
            {"dead_experts", number(spread_of(runs, dead_of).mean)},
            {"unevenness", number(spread_of(runs, unevenness_of).mean)}};
}

std::string leaks_of(const Config& config) { return fmt::format("{}", fmt::join(leak_notes(config), "; ")); }

Json spread_json(const ValueSpread& spread) {
    return {{"mean", number(spread.mean)}, {"deviation", number(spread.deviation)}, {"values", spread.values}};
}

Json run_json(const SweepRun& run) {
    return {{"folder", run.folder.path().string()},
            {"seed", run.seed},
            {"lr", run.rate},
            {"state", state_of(run)},
            {"step", run.step},
            {"valid_bits_per_byte", number(run.valid)},
            {"test_bits_per_byte", number(run.test)},
            {"seconds_per_step", number(seconds_of(run))}};
}

Json runs_json(const SweepResult& result) {
    Json list = Json::array();
    for (const SweepRun& run : result.tried) list.push_back(run_json(run));
    for (std::size_t i = 1; i < result.kept.size(); ++i) list.push_back(run_json(result.kept[i]));
    return list;
}

Json options_json(const nn::OptionTable& options) {
    Json json = Json::object();
    for (const auto& [name, value] : options.values()) {
        std::visit([&, &key = name](const auto& known) { json[key] = known; }, value);
    }
    return json;
}

Json match_json(const SweepSide& side) {
    const SweepRow& row = *side.row;
    if (row.match == Match::none) return nullptr;
    return {{"quantity", row.match == Match::flops ? "flops" : "parameters"},
            {"reference", row.reference},
            {"difference_percent", side.difference},
            {"solved", {{row.solve, side.width}}}};
}

Json side_json(const SweepSide& side, const SweepResult& result) {
    double seconds = spread_of(result.kept.empty() ? result.tried : result.kept, seconds_of).mean;
    std::string leaks = leaks_of(side.config);
    auto tokens = static_cast<double>(side.plan.tokens_per_step);
    return {{"name", side.name()},
            {"row", side.row->name},
            {"size", side.size},
            {"budget", side.budget > 0 ? Json(side.budget) : Json()},
            {"method", method_name(side.config)},
            {"options", options_json(side.config.ffn.options)},
            {"mixer", options_json(side.config.mixer.options)},
            {"match", match_json(side)},
            {"parameters", side.plan.parameters},
            {"active_parameters", side.plan.active_parameters},
            {"flops_per_token", {{"forward", side.plan.flops_per_token.forward}, {"selector", side.plan.flops_per_token.selector}}},
            {"weight_bytes_per_token", side.plan.active_parameters * engine::element_bytes(dtype_named(side.config.train.dtype))},
            {"steps", *side.config.train.steps},
            {"tokens_per_step", side.plan.tokens_per_step},
            {"lr", result.rate ? Json(*result.rate) : Json()},
            {"valid_bits_per_byte", spread_json(spread_of(result.kept, valid_of))},
            {"test_bits_per_byte", spread_json(spread_of(result.kept, test_of))},
            {"seconds_per_step", number(seconds)},
            {"tokens_per_second", number(tokens / seconds)},
            {"balance", balance_json(result.kept)},
            {"leaks", !leaks.empty()},
            {"notes", leaks.empty() ? Json::array() : Json{leaks}},
            {"runs", runs_json(result)}};
}

std::string or_dash(double value, const std::string& text) { return std::isfinite(value) ? text : "-"; }

std::string spread_text(const ValueSpread& spread) {
    std::string text = fmt::format("{:.4f}", spread.mean);
    if (std::isfinite(spread.deviation)) text += fmt::format(" ± {:.4f} ({})", spread.deviation, spread.values.size());
    return or_dash(spread.mean, text);
}

}  // namespace

std::string state_of(const SweepRun& run) {
    if (run.diverged) return "diverged";
    if (run.trained()) return std::isnan(run.valid) ? "trained" : "finished";
    return run.step > 0 ? "partial" : "missing";
}

double seconds_per_step(const RunReport& run) {
    std::vector<double> times;
    const Curve& curve = run.curve;
    for (std::size_t i = 1; i < curve.size(); ++i) {
        double time = (curve.seconds[i] - curve.seconds[i - 1]) / (curve.step[i] - curve.step[i - 1]);
        if (std::isfinite(time)) times.push_back(time);
    }
    if (times.empty()) return curve.size() == 1 ? curve.seconds[0] / curve.step[0] : kNoNumber;
    auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}

fs::path diverged_file(const RunFolder& folder) { return folder.path() / "diverged.txt"; }

SweepRun read_sweep_run(const SweepSide& side, const fs::path& out, Size seed, double rate) {
    SweepRun run{.folder = side.folder_of(out, seed, rate),
                 .seed = seed,
                 .rate = rate,
                 .steps = *side.config.train.steps,
                 .valid = kNoNumber,
                 .test = kNoNumber,
                 .report = {}};
    if (!run.folder.holds_run()) return run;
    run.step = run.folder.latest().value_or(0);
    run.diverged = fs::exists(diverged_file(run.folder));
    run.report = read_run(run.folder.path());
    run.valid = bits_at_end(*run.report, "valid", run.step);
    run.test = bits_at_end(*run.report, "test", run.step);
    return run;
}

SweepResult read_result(const SweepSide& side, const fs::path& out) {
    SweepResult result;
    const SweepRow& row = *side.row;
    bool all = true;
    const SweepRun* best = nullptr;
    for (double rate : row.rates) result.tried.push_back(read_sweep_run(side, out, row.seeds.front(), rate));
    for (const SweepRun& run : result.tried) {
        all = all && run.trained() && (run.diverged || !std::isnan(run.valid));
        if (!run.diverged && (best == nullptr || run.valid < best->valid)) best = &run;
    }
    if (!all || best == nullptr) return result;
    result.rate = best->rate;
    result.kept.push_back(*best);
    for (std::size_t i = 1; i < row.seeds.size(); ++i) result.kept.push_back(read_sweep_run(side, out, row.seeds[i], best->rate));
    return result;
}

Json sweep_document(const SweepFile& sweep, const std::vector<SweepSide>& sides, const std::vector<SweepResult>& results) {
    Json rows = Json::array();
    for (std::size_t i = 0; i < sides.size(); ++i) rows.push_back(side_json(sides[i], results[i]));
    return {{"sweep", sweep.path.string()}, {"out", sweep.out.string()}, {"rows", rows}};
}

std::string sweep_table(const std::vector<SweepSide>& sides, const std::vector<SweepResult>& results) {
    TextTable table({"row", "width", "parameters", "FLOPs/token", "lr", "valid bits/byte", "test bits/byte", "s/step", "tokens/s", "usage",
                     "dead", "runs", ""});
    for (std::size_t i = 0; i < sides.size(); ++i) {
        const SweepSide& side = sides[i];
        const SweepResult& result = results[i];
        double seconds = spread_of(result.kept.empty() ? result.tried : result.kept, seconds_of).mean;
        double usage = spread_of(result.kept, usage_of).mean, dead = spread_of(result.kept, dead_of).mean;
        auto finished = [](const std::vector<SweepRun>& runs, std::size_t first) {
            return std::count_if(runs.begin() + static_cast<std::ptrdiff_t>(std::min(first, runs.size())), runs.end(),
                                 [](const SweepRun& run) { return run.trained(); });
        };
        table.add(
            {side.name(), side.width > 0 ? fmt::format("{}", side.width) : "given", count_text(static_cast<double>(side.plan.parameters)),
             count_text(side.plan.flops_per_token.forward), result.rate ? fmt::format("{}", *result.rate) : "-",
             spread_text(spread_of(result.kept, valid_of)), spread_text(spread_of(result.kept, test_of)),
             or_dash(seconds, fmt::format("{:.4g}", seconds)),
             or_dash(seconds, count_text(static_cast<double>(side.plan.tokens_per_step) / seconds)),
             or_dash(usage, fmt::format("{:.0f} %", 100 * usage)), or_dash(dead, fmt::format("{}", dead)),
             fmt::format("{}/{}", finished(result.tried, 0) + finished(result.kept, 1), result.tried.size() + side.row->seeds.size() - 1),
             leaks_of(side.config).empty() ? "" : "leaks the future"});
    }
    return table.text();
}

}  // namespace apps
