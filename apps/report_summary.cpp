#include "apps/report_summary.h"

#include "apps/json_lines.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

namespace apps {
namespace {

double last_of(const std::vector<double>& column) {
    auto last = std::find_if(column.rbegin(), column.rend(), [](double value) { return std::isfinite(value); });
    return last == column.rend() ? kNoNumber : *last;
}

// The mean of the finite values among `count` that end before `end`.
double mean_before(const std::vector<double>& values, std::size_t end, std::size_t count) {
    double sum = 0, finite = 0;
    for (std::size_t i = end - std::min(end, count); i < end; ++i) {
        if (!std::isfinite(values[i])) continue;
        sum += values[i];
        finite += 1;
    }
    return finite > 0 ? sum / finite : kNoNumber;
}

// A fiftieth of the records, at most 100: steadier than one batch, still "now".
std::size_t final_records(std::size_t records) { return std::clamp<std::size_t>(records / 50, 1, 100); }

std::vector<double> spent(const RunReport& run, const std::string& axis) {
    if (axis == "seconds") return run.curve.seconds;
    std::vector<double> amounts = run.curve.tokens;
    if (axis == "flops") {
        for (double& amount : amounts) amount *= kTrainingPasses * run.plan.forward_flops;
    }
    return amounts;
}

double spent_at(const RunReport& run, const std::string& axis, const EvaluationRecord& evaluation) {
    if (axis == "seconds") return evaluation.seconds;
    return axis == "flops" ? evaluation.tokens * kTrainingPasses * run.plan.forward_flops : evaluation.tokens;
}

double bits_at(const RunReport& run, const std::string& split, const std::string& axis, double amount) {
    std::vector<double> x, y;
    for (const EvaluationRecord& evaluation : run.evaluations) {
        double at = spent_at(run, axis, evaluation);
        if (evaluation.split != split || std::isnan(at) || (!x.empty() && at <= x.back())) continue;
        x.push_back(at);
        y.push_back(evaluation.bits_per_byte);
    }
    return value_at(x, y, amount);
}

double loss_at(const RunReport& run, const std::string& axis, double amount) {
    std::vector<double> x = spent(run, axis);
    auto end = static_cast<std::size_t>(std::upper_bound(x.begin(), x.end(), amount) - x.begin());
    return end == 0 ? kNoNumber : mean_before(run.curve.loss, end, final_records(run.curve.size()));
}

}  // namespace

RunSummary summarise(const RunReport& run) {
    RunSummary summary{};
    summary.steps = last_of(run.curve.step);
    summary.tokens = last_of(run.curve.tokens);
    summary.seconds = last_of(run.curve.seconds);
    summary.tokens_per_second = summary.seconds > 0 ? summary.tokens / summary.seconds : kNoNumber;
    summary.training_flops = kTrainingPasses * run.plan.forward_flops * summary.tokens;
    summary.loss_records = final_records(run.curve.size());
    summary.train_loss = mean_before(run.curve.loss, run.curve.size(), summary.loss_records);
    return summary;
}

BalanceSummary summarise_balance(const RunReport& run) {
    if (run.layers.empty()) return {kNoNumber, kNoNumber, kNoNumber, kNoNumber};
    BalanceSummary summary{};
    double experts = 0;
    for (const LayerUsage& layer : run.layers) {
        experts += static_cast<double>(layer.experts);
        summary.usage += layer.usage_perplexity.back();
        summary.max_violation = std::max(summary.max_violation, layer.max_violation.back());
        summary.dead_experts += layer.dead_experts.back();
        summary.unevenness += layer.unevenness.back() / static_cast<double>(run.layers.size());
    }
    summary.usage /= experts;
    return summary;
}

const EvaluationRecord* last_evaluation(const RunReport& run, const std::string& split) {
    const EvaluationRecord* last = nullptr;
    for (const EvaluationRecord& evaluation : run.evaluations) {
        if (evaluation.split == split) last = &evaluation;
    }
    return last;
}

const EvaluationRecord* best_evaluation(const RunReport& run, const std::string& split) {
    const EvaluationRecord* best = nullptr;
    for (const EvaluationRecord& evaluation : run.evaluations) {
        if (evaluation.split != split || !std::isfinite(evaluation.bits_per_byte)) continue;
        if (best == nullptr || evaluation.bits_per_byte < best->bits_per_byte) best = &evaluation;
    }
    return best;
}

std::string common_split(const std::vector<RunReport>& runs) {
    std::vector<std::string> wanted{"test", "valid"};
    for (const EvaluationRecord& evaluation : runs.front().evaluations) wanted.push_back(evaluation.split);
    for (const std::string& split : wanted) {
        if (std::all_of(runs.begin(), runs.end(), [&](const RunReport& run) { return last_evaluation(run, split) != nullptr; }))
            return split;
    }
    return {};
}

std::string followed_split(const std::vector<RunReport>& runs) {
    std::string followed = common_split(runs);
    std::ptrdiff_t most = 0;
    for (const EvaluationRecord& any : runs.front().evaluations) {
        auto evaluations = [&](const RunReport& run) {
            return std::count_if(run.evaluations.begin(), run.evaluations.end(),
                                 [&](const EvaluationRecord& one) { return one.split == any.split; });
        };
        std::ptrdiff_t fewest = evaluations(runs.front());
        for (const RunReport& run : runs) fewest = std::min(fewest, evaluations(run));
        if (fewest > most) std::tie(followed, most) = std::pair(any.split, fewest);
    }
    return followed;
}

std::vector<Budget> equal_budgets(const std::vector<RunReport>& runs, const std::string& split) {
    std::vector<Budget> budgets;
    for (const char* axis : {"tokens", "flops", "seconds"}) {
        Budget budget{.axis = axis, .amount = INFINITY};
        for (const RunReport& run : runs) {
            double all = last_of(spent(run, axis));
            budget.amount = std::isnan(all) ? kNoNumber : std::min(budget.amount, all);
            if (std::isnan(budget.amount)) break;
        }
        if (std::isnan(budget.amount)) continue;
        for (const RunReport& run : runs) {
            budget.bits_per_byte.push_back(bits_at(run, split, axis, budget.amount));
            budget.train_loss.push_back(loss_at(run, axis, budget.amount));
        }
        budgets.push_back(std::move(budget));
    }
    return budgets;
}

std::vector<ConfigRow> config_differences(const std::vector<RunReport>& runs) {
    std::set<std::string> keys;
    for (const RunReport& run : runs) {
        for (const auto& [key, value] : run.config) keys.insert(key);
    }
    std::vector<ConfigRow> rows;
    for (const std::string& key : keys) {
        ConfigRow row{key, {}};
        for (const RunReport& run : runs) {
            auto value = run.config.find(key);
            row.values.push_back(value == run.config.end() ? "" : value->second);
        }
        if (std::set<std::string>(row.values.begin(), row.values.end()).size() > 1) rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace apps
