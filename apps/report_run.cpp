#include "apps/report_run.h"

#include "apps/json_lines.h"
#include "apps/report_run_parts.h"
#include "engine/base/error.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace apps {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kBalance = "balance.";

void drop_from(Curve& curve, std::size_t first) {
    for (auto* column : {&curve.step, &curve.tokens, &curve.seconds, &curve.loss, &curve.lr, &curve.grad_norm, &curve.tokens_per_second}) {
        column->resize(first);
    }
    for (auto& [name, column] : curve.balance) column.resize(first);
}

void append(Curve& curve, const nlohmann::json& record) {
    curve.step.push_back(number_of(record, "step"));
    curve.tokens.push_back(number_of(record, "tokens"));
    curve.seconds.push_back(number_of(record, "seconds"));
    curve.loss.push_back(number_of(record, "loss"));
    curve.lr.push_back(number_of(record, "lr"));
    curve.grad_norm.push_back(number_of(record, "grad_norm"));
    curve.tokens_per_second.push_back(number_of(record, "tokens_per_second"));
    for (const auto& [key, value] : record.items()) {
        if (key.starts_with(kBalance)) curve.balance[key.substr(kBalance.size())].resize(curve.size() - 1, kNoNumber);
    }
    for (auto& [name, column] : curve.balance) column.push_back(number_of(record, std::string(kBalance) + name));
}

EvaluationRecord evaluation_of(const nlohmann::json& record) {
    const nlohmann::json& eval = record["eval"];
    EvaluationRecord result{.split = text_of(eval, "split"),
                            .step = number_of(record, "step"),
                            .tokens = kNoNumber,
                            .seconds = kNoNumber,
                            .nats_per_token = number_of(eval, "nats_per_token"),
                            .bits_per_byte = number_of(eval, "bits_per_byte"),
                            .scored_tokens = number_of(eval, "tokens"),
                            .bytes = number_of(eval, "bytes")};
    if (result.split.empty()) result.split = "valid";  // what eval_every reads
    return result;
}

void read_metrics(RunReport& run, const fs::path& path) {
    std::int64_t repeated = 0, nameless = 0;
    LineFaults faults = read_json_lines(path, [&](const nlohmann::json& record) {
        double step = number_of(record, "step");
        if (std::isnan(step)) {
            nameless += 1;
        } else if (record.contains("eval")) {
            EvaluationRecord now = evaluation_of(record);
            std::erase_if(run.evaluations,
                          [&](const EvaluationRecord& old) { return old.step > step || (old.step == step && old.split == now.split); });
            run.evaluations.push_back(now);
        } else {
            // A run that went on from an earlier checkpoint writes steps again: the later record holds.
            auto first = std::lower_bound(run.curve.step.begin(), run.curve.step.end(), step);
            repeated += run.curve.step.end() - first;
            drop_from(run.curve, static_cast<std::size_t>(first - run.curve.step.begin()));
            append(run.curve, record);
        }
    });
    note_faults(run, "metrics.jsonl", faults);
    if (nameless > 0) run.problems.push_back(fmt::format("metrics.jsonl: {} records without a step were skipped", nameless));
    if (repeated > 0) run.problems.push_back(fmt::format("metrics.jsonl: {} records stand twice; the later ones are shown", repeated));
    for (EvaluationRecord& evaluation : run.evaluations) {
        evaluation.tokens = value_at(run.curve.step, run.curve.tokens, evaluation.step);
        evaluation.seconds = value_at(run.curve.step, run.curve.seconds, evaluation.step);
    }
}

void note_divergence(RunReport& run) {
    const Curve& curve = run.curve;
    auto broken = [](double loss) { return !std::isfinite(loss); };
    auto first = std::find_if(curve.loss.begin(), curve.loss.end(), broken);
    if (first == curve.loss.end()) return;
    run.problems.push_back(fmt::format("the loss is not finite in {} of {} records, first at step {}",
                                       std::count_if(curve.loss.begin(), curve.loss.end(), broken), curve.size(),
                                       curve.step[static_cast<std::size_t>(first - curve.loss.begin())]));
}

}  // namespace

void note_faults(RunReport& run, const std::string& file, const LineFaults& faults) {
    if (faults.torn) run.problems.push_back(fmt::format("{}: the last line is cut and was skipped", file));
    if (faults.unreadable > 0)
        run.problems.push_back(fmt::format("{}: {} lines are no JSON objects and were skipped", file, faults.unreadable));
}

double value_at(const std::vector<double>& x, const std::vector<double>& y, double at) {
    auto right = std::lower_bound(x.begin(), x.end(), at);
    if (right == x.end()) return kNoNumber;
    auto i = static_cast<std::size_t>(right - x.begin());
    if (x[i] == at) return y[i];
    if (i == 0) return kNoNumber;
    double share = (at - x[i - 1]) / (x[i] - x[i - 1]);
    return y[i - 1] + share * (y[i] - y[i - 1]);
}

std::vector<std::string> short_names(const std::vector<fs::path>& folders) {
    std::vector<std::vector<std::string>> parts;
    std::size_t longest = 1;
    for (const fs::path& folder : folders) {
        fs::path whole = fs::weakly_canonical(fs::absolute(folder));
        parts.emplace_back();
        for (const fs::path& part : whole.relative_path()) {
            if (!part.empty()) parts.back().push_back(part.string());  // a slash at the end makes an empty one
        }
        longest = std::max(longest, parts.back().size());
    }
    std::vector<std::string> names;
    for (std::size_t count = 1; count <= longest; ++count) {
        names.clear();
        for (const auto& all : parts)
            names.push_back(
                fmt::format("{}", fmt::join(all.end() - static_cast<std::ptrdiff_t>(std::min(count, all.size())), all.end(), "/")));
        if (std::set<std::string>(names.begin(), names.end()).size() == names.size()) break;
    }
    return names;
}

RunReport read_run(const fs::path& folder) {
    engine::expect(fs::is_directory(folder), "compare", "no such run: got {}, expected a folder made by moegrad train", folder.string());
    bool has_config = fs::exists(folder / "config.toml"), has_metrics = fs::exists(folder / "metrics.jsonl");
    engine::expect(has_config || has_metrics, "compare",
                   "{} is no run: it holds neither config.toml nor metrics.jsonl; hint: name a folder that moegrad train made",
                   folder.string());
    RunReport run;
    run.name = short_names({folder}).front();
    run.path = folder.string();
    read_config(run, folder / "config.toml");
    read_metrics(run, folder / "metrics.jsonl");
    if (run.curve.size() == 0) run.problems.push_back("metrics.jsonl holds no record of training");
    note_divergence(run);
    read_usage(run, folder / "moe.jsonl");
    read_plan(run, folder / "plan.json");
    read_notes(run, folder);
    read_samples(run, folder / "samples");
    return run;
}

}  // namespace apps
