#pragma once
// One run as its folder tells it (PROGRAMS, "A run's folder"), for reports. A folder may be damaged, old, or still written to: what is
// missing stays empty, what is wrong becomes a sentence in `problems`.
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace apps {

// A column a quantity, a row a log step; steps rise. NaN where a record lacks the value.
struct Curve {
    std::vector<double> step, tokens, seconds, loss, lr, grad_norm, tokens_per_second;
    std::map<std::string, std::vector<double>> balance;
    std::size_t size() const { return step.size(); }
};

// One evaluation. tokens, seconds: of training until then; scored_tokens, bytes: of the text that was read.
struct EvaluationRecord {
    std::string split;
    double step, tokens, seconds, nats_per_token, bits_per_byte, scored_tokens, bytes;
};

// How one layer used its experts, or cells. load: a row a record, relative to an even spread (1 = even); above kMostGroups experts,
// neighbours are averaged into that many groups.
inline constexpr std::size_t kMostGroups = 256;
struct LayerUsage {
    std::int64_t layer = 0;
    std::size_t experts = 0;
    std::vector<double> step, usage_perplexity, max_violation, dead_experts, unevenness;
    std::vector<std::vector<float>> load;
    std::vector<float> last_gate_mass;  // likewise
};

// plan.json; NaN where unknown.
struct RunPlan {
    double parameters, active_parameters, forward_flops, selector_flops;
    std::vector<std::pair<std::string, double>> parts;
};

struct Sample {
    std::string name, text;
};

struct RunReport {
    std::string name, path, method;
    std::map<std::string, std::string> config;  // key.path -> value
    std::string config_text;
    Curve curve;
    std::vector<EvaluationRecord> evaluations;
    std::vector<LayerUsage> layers;
    RunPlan plan;
    std::vector<Sample> samples;
    std::vector<std::string> notes;     // what the run says of itself, such as "leaks the future"
    std::vector<std::string> problems;  // what is wrong with the folder or the run
};

// Throws engine::Error where `folder` is none, or holds neither config.toml nor metrics.jsonl.
RunReport read_run(const std::filesystem::path& folder);

// Short names that tell the folders apart: the last parts of their paths, as many as it takes.
std::vector<std::string> short_names(const std::vector<std::filesystem::path>& folders);

// The value of `y` at `at` on the line through (x, y), x rising; NaN outside and where a neighbour is NaN.
double value_at(const std::vector<double>& x, const std::vector<double>& y, double at);

}  // namespace apps
