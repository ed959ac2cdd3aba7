#include "apps/report_run_parts.h"

#include "apps/report_leaks.h"
#include "apps/run_folder.h"
#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include <toml++/toml.h>

namespace apps {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kLongestSample = 4000;
constexpr double kMostLayers = 1e6, kMostCells = 1e12;

void flatten(std::map<std::string, std::string>& flat, const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
        std::string name = prefix + std::string(key.str());
        if (const toml::table* inner = node.as_table(); inner != nullptr && !inner->is_inline()) {
            flatten(flat, *inner, name + ".");
            continue;
        }
        std::ostringstream text;
        if (node.is_string()) {
            flat[name] = node.as_string()->get();
            continue;
        }
        if (node.is_table()) {
            text << toml::toml_formatter(*node.as_table());
        } else {
            node.visit([&](const auto& value) { text << value; });
        }
        flat[name] = text.str();
    }
}

// Above kMostGroups values: means of neighbours.
std::vector<float> grouped(const std::vector<float>& values) {
    if (values.size() <= kMostGroups) return values;
    std::vector<float> groups;
    for (std::size_t g = 0; g < kMostGroups; ++g) {
        std::size_t begin = g * values.size() / kMostGroups, end = (g + 1) * values.size() / kMostGroups;
        double sum = 0;
        for (std::size_t i = begin; i < end; ++i) sum += values[i];
        groups.push_back(static_cast<float>(sum / static_cast<double>(end - begin)));
    }
    return groups;
}

std::vector<float> relative_shares(const nlohmann::json& record, const std::string& name) {
    std::vector<float> shares;
    auto list = record.find(name);
    if (list == record.end() || !list->is_array()) return shares;
    auto experts = static_cast<double>(list->size());
    for (const nlohmann::json& share : *list)
        shares.push_back(static_cast<float>(share.is_number() ? share.get<double>() * experts : kNoNumber));
    return shares;
}

LayerUsage& layer_of(RunReport& run, std::int64_t layer) {
    auto place = std::lower_bound(run.layers.begin(), run.layers.end(), layer,
                                  [](const LayerUsage& one, std::int64_t wanted) { return one.layer < wanted; });
    if (place == run.layers.end() || place->layer != layer) place = run.layers.insert(place, LayerUsage{.layer = layer});
    return *place;
}

// Of very many cells the record has loads of groups, and says how many cells there are.
std::size_t experts_of(const nlohmann::json& record, const std::vector<float>& load) {
    double cells = number_of(record, "cells");
    return cells > static_cast<double>(load.size()) && cells < kMostCells ? static_cast<std::size_t>(cells) : load.size();
}

void append_usage(LayerUsage& usage, const nlohmann::json& record, const std::vector<float>& load) {
    auto first = std::lower_bound(usage.step.begin(), usage.step.end(), number_of(record, "step")) - usage.step.begin();
    for (auto* column : {&usage.step, &usage.usage_perplexity, &usage.max_violation, &usage.dead_experts, &usage.unevenness})
        column->resize(static_cast<std::size_t>(first));
    usage.load.resize(static_cast<std::size_t>(first));
    usage.experts = experts_of(record, load);
    usage.step.push_back(number_of(record, "step"));
    usage.usage_perplexity.push_back(number_of(record, "usage_perplexity"));
    usage.max_violation.push_back(number_of(record, "max_vio"));
    usage.dead_experts.push_back(number_of(record, "dead_experts"));
    usage.unevenness.push_back(number_of(record, "unevenness"));
    usage.load.push_back(grouped(load));
    usage.last_gate_mass = grouped(relative_shares(record, "gate_mass"));
}

nlohmann::json read_json(RunReport& run, const fs::path& path, const std::string& shown) {
    std::ifstream in(path);
    nlohmann::json document = nlohmann::json::parse(in, nullptr, false);
    if (document.is_object()) return document;
    run.problems.push_back(shown + " is no JSON object and was skipped");
    return nlohmann::json::object();
}

// The number in a name such as step-200.txt, for the order; -1 without one.
long number_in(const std::string& name) {
    std::size_t digit = name.find_first_of("0123456789");
    return digit == std::string::npos ? -1 : std::strtol(name.c_str() + digit, nullptr, 10);
}

std::vector<fs::path> in_order_of_step(const fs::path& folder) {
    std::vector<fs::path> entries;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
        if (entry.path().extension() != engine::io::kPartial) entries.push_back(entry.path());
    }
    std::sort(entries.begin(), entries.end(), [](const fs::path& a, const fs::path& b) {
        auto key = [](const fs::path& path) { return std::pair(number_in(path.filename().string()), path.filename().string()); };
        return key(a) < key(b);
    });
    return entries;
}

}  // namespace

void read_config(RunReport& run, const fs::path& path) {
    if (!fs::exists(path)) {
        run.problems.push_back("config.toml is missing: method and settings are unknown");
        return;
    }
    run.config_text = engine::io::read_file(path);
    try {
        flatten(run.config, toml::parse(run.config_text), "");
    } catch (const toml::parse_error& error) {
        run.problems.push_back(fmt::format("config.toml is not TOML: line {}: {}", error.source().begin.line, error.description()));
    }
    for (const char* key : {"ffn.method", "mixer.method"}) {
        auto value = run.config.find(key);
        if (run.method.empty() && value != run.config.end()) run.method = value->second;
    }
}

void read_usage(RunReport& run, const fs::path& path) {
    std::int64_t skipped = 0;
    LineFaults faults = read_json_lines(path, [&](const nlohmann::json& record) {
        double step = number_of(record, "step"), layer = number_of(record, "layer");
        std::vector<float> load = relative_shares(record, "load");
        if (std::isnan(step) || !(layer >= 0 && layer < kMostLayers) || load.empty()) {
            skipped += 1;
            return;
        }
        LayerUsage& usage = layer_of(run, static_cast<std::int64_t>(layer));
        if (usage.experts != 0 && usage.experts != experts_of(record, load)) {
            skipped += 1;
        } else {
            append_usage(usage, record, load);
        }
    });
    note_faults(run, "moe.jsonl", faults);
    if (skipped > 0) run.problems.push_back(fmt::format("moe.jsonl: {} records without step, layer or fitting load were skipped", skipped));
}

void read_plan(RunReport& run, const fs::path& path) {
    nlohmann::json plan = fs::exists(path) ? read_json(run, path, "plan.json") : nlohmann::json::object();
    nlohmann::json flops = plan.value("flops_per_token", nlohmann::json::object());
    run.plan.parameters = number_of(plan, "parameters");
    run.plan.active_parameters = number_of(plan, "active_parameters");
    run.plan.forward_flops = number_of(flops, "forward");
    run.plan.selector_flops = number_of(flops, "selector");
    nlohmann::json parts = plan.value("parameters_by_part", nlohmann::json::object());
    for (const auto& [name, count] : parts.items()) {
        if (count.is_number()) run.plan.parts.emplace_back(name, count.get<double>());
    }
}

void read_notes(RunReport& run, const fs::path& folder) {
    RunFolder known(folder);
    try {
        std::optional<std::int64_t> latest = known.latest();
        fs::path file = latest ? known.checkpoint(*latest) / "state.json" : fs::path();
        nlohmann::json state = fs::exists(file) ? read_json(run, file, "state.json") : nlohmann::json::object();
        nlohmann::json notes = state.value("notes", nlohmann::json::array());
        for (const nlohmann::json& note : notes) {
            if (note.is_string()) run.notes.push_back(note.get<std::string>());
        }
    } catch (const engine::Error& error) { run.problems.push_back(error.what()); }
    bool told = std::any_of(run.notes.begin(), run.notes.end(),
                            [](const std::string& note) { return note.find("leaks the future") != std::string::npos; });
    if (told) return;
    std::vector<std::string> leaks = future_leaks(run.config);
    run.notes.insert(run.notes.begin(), leaks.begin(), leaks.end());
}

void read_samples(RunReport& run, const fs::path& folder) {
    for (const fs::path& path : in_order_of_step(folder)) {
        if (!fs::is_regular_file(path)) continue;
        std::string text = engine::io::read_file(path);
        if (text.size() > kLongestSample) text = text.substr(0, kLongestSample) + "…";
        run.samples.push_back({path.stem().string(), text});
    }
}

}  // namespace apps
