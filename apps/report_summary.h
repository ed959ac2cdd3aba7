#pragma once
// The numbers a reader wants first: what each run reached, at what cost, and which one is ahead.
#include "apps/report_run.h"

#include <string>
#include <vector>

namespace apps {

// A backward pass costs two forward passes; recomputation and the optimizer are not counted.
inline constexpr double kTrainingPasses = 3;

// One run's row; NaN where unknown.
struct RunSummary {
    double steps, tokens, seconds, tokens_per_second;
    double training_flops;  // kTrainingPasses · forward · tokens
    double train_loss;      // mean of the last records
    std::size_t loss_records;
};
RunSummary summarise(const RunReport& run);

// How the last logged step spread its choices, over layers; NaN for a run that does not choose.
struct BalanceSummary {
    double usage;          // usage perplexity over experts, of all layers: 1 is even
    double max_violation;  // of the worst layer
    double dead_experts;   // of all layers
    double unevenness;     // mean over layers, in nats
};
BalanceSummary summarise_balance(const RunReport& run);

// The last, or the best, evaluation on a split; null without one.
const EvaluationRecord* last_evaluation(const RunReport& run, const std::string& split);
const EvaluationRecord* best_evaluation(const RunReport& run, const std::string& split);

// The split by which the runs are compared: test where all have it, else valid, else any other that all have; empty without one.
std::string common_split(const std::vector<RunReport>& runs);
// Of the splits that all runs have the one evaluated most often, for reading values between evaluations.
std::string followed_split(const std::vector<RunReport>& runs);

// What the runs had reached when each had spent as much as the thriftiest spent in all.
struct Budget {
    std::string axis;  // "tokens", "flops", "seconds"
    double amount;
    std::vector<double> bits_per_byte, train_loss;  // a run each, between neighbouring records; NaN where unknown
};
std::vector<Budget> equal_budgets(const std::vector<RunReport>& runs, const std::string& split);

// One or two sentences: which run is ahead on held-out text, by how much, at what cost.
std::string verdict(const std::vector<RunReport>& runs);

// The configuration keys in which the runs differ, a value a run; empty where a run lacks the key.
struct ConfigRow {
    std::string key;
    std::vector<std::string> values;
};
std::vector<ConfigRow> config_differences(const std::vector<RunReport>& runs);

}  // namespace apps
