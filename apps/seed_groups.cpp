#include "apps/seed_groups.h"

#include "apps/json_lines.h"
#include "apps/report_summary.h"

#include <algorithm>
#include <cmath>

namespace apps {
namespace {

std::map<std::string, std::string> without_seed(std::map<std::string, std::string> config) {
    config.erase("seed");
    return config;
}

bool belongs(const std::vector<RunReport>& runs, const SeedGroup& group, const RunReport& run) {
    if (run.config.empty() || !run.config.contains("seed")) return false;
    if (without_seed(run.config) != without_seed(runs[group.runs.front()].config)) return false;
    return std::none_of(group.runs.begin(), group.runs.end(),
                        [&](std::size_t other) { return runs[other].config.at("seed") == run.config.at("seed"); });
}

// "dense seed 1", "dense seed 12": "dense".
std::string common_name(const std::vector<RunReport>& runs, const SeedGroup& group) {
    std::string name = runs[group.runs.front()].name;
    if (group.runs.size() == 1) return name;
    for (std::size_t other : group.runs) {
        auto [end, unused] = std::mismatch(name.begin(), name.end(), runs[other].name.begin(), runs[other].name.end());
        name.erase(end, name.end());
    }
    auto drop = [&](const char* characters) { name.erase(name.find_last_not_of(characters) + 1); };
    drop("0123456789");
    drop(" -_/.");
    if (name.ends_with("seed")) name.resize(name.size() - 4);
    drop(" -_/.");
    return name.empty() ? runs[group.runs.front()].name : name;
}

}  // namespace

ValueSpread value_spread(const std::vector<double>& values) {
    ValueSpread spread{{}, kNoNumber, kNoNumber, kNoNumber, kNoNumber};
    std::copy_if(values.begin(), values.end(), std::back_inserter(spread.values), [](double value) { return std::isfinite(value); });
    if (spread.values.empty()) return spread;
    auto count = static_cast<double>(spread.values.size());
    double sum = 0, squares = 0;
    for (double value : spread.values) sum += value;
    spread.mean = sum / count;
    for (double value : spread.values) squares += (value - spread.mean) * (value - spread.mean);
    if (count > 1) spread.deviation = std::sqrt(squares / (count - 1));
    auto [least, most] = std::minmax_element(spread.values.begin(), spread.values.end());
    spread.least = *least;
    spread.most = *most;
    return spread;
}

std::vector<SeedGroup> seed_groups(const std::vector<RunReport>& runs) {
    std::vector<SeedGroup> groups;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        auto place = std::find_if(groups.begin(), groups.end(), [&](const SeedGroup& group) { return belongs(runs, group, runs[i]); });
        if (place == groups.end()) place = groups.insert(groups.end(), SeedGroup{});
        place->runs.push_back(i);
    }
    for (SeedGroup& group : groups) group.name = common_name(runs, group);
    return groups;
}

ValueSpread last_bits(const std::vector<RunReport>& runs, const SeedGroup& group, const std::string& split) {
    std::vector<double> bits;
    for (std::size_t i : group.runs) {
        const EvaluationRecord* last = last_evaluation(runs[i], split);
        bits.push_back(last != nullptr ? last->bits_per_byte : kNoNumber);
    }
    return value_spread(bits);
}

}  // namespace apps
