#include "apps/config.h"

#include "engine/base/error.h"

#include <algorithm>

namespace apps {
namespace {

std::string slot_text(const Slot& slot) {
    if (auto* value = std::get_if<Size*>(&slot)) return nn::option_text(**value);
    if (auto* value = std::get_if<OptionalSize*>(&slot)) return **value ? nn::option_text(***value) : "";
    if (auto* value = std::get_if<double*>(&slot)) return nn::option_text(**value);
    if (auto* value = std::get_if<bool*>(&slot)) return nn::option_text(**value);
    if (auto* value = std::get_if<std::string*>(&slot)) return (**value).empty() ? "" : nn::option_text(**value);
    if (auto* value = std::get_if<LayerList*>(&slot)) return (**value).all ? "\"all\"" : nn::option_text((**value).which);
    std::vector<std::string> parts;
    for (const auto& [name, factor] : *std::get<Factors*>(slot)) {
        parts.push_back(nn::option_text(name) + " = " + nn::option_text(factor));
    }
    return parts.empty() ? "{}" : fmt::format("{{ {} }}", fmt::join(parts, ", "));
}

// The value as a table holds it; the slot is only read.
std::string text_of(const ConfigKey& key, const Config& config) { return slot_text(key.slot(const_cast<Config&>(config))); }

const nn::OptionTable* options_of(const Config& config, const std::string& section) {
    if (section == "ffn") return &config.ffn.options;
    return section == "mixer" ? &config.mixer.options : nullptr;
}

std::optional<ConfigDifference> options_difference(const nn::OptionTable& before, const nn::OptionTable& now) {
    std::map<std::string, std::pair<std::string, std::string>> both;
    for (const auto& [name, value] : before.values()) both[name].first = nn::option_text(value);
    for (const auto& [name, value] : now.values()) both[name].second = nn::option_text(value);
    for (const auto& [name, texts] : both) {
        if (texts.first != texts.second) return ConfigDifference{before.where() + "." + name, texts.first, texts.second};
    }
    return {};
}

}  // namespace

std::string config_text(const Config& config) {
    std::string text, section;
    auto end_section = [&] {
        const nn::OptionTable* options = options_of(config, section);
        if (options == nullptr) return;
        for (const auto& [name, value] : options->values()) text += fmt::format("{} = {}\n", name, nn::option_text(value));
    };
    for (const ConfigKey& key : config_keys()) {
        if (key.section != section) {
            end_section();
            section = key.section;
            text += fmt::format("\n[{}]\n", section);
        }
        std::string value = text_of(key, config);
        std::string line = value.empty() ? fmt::format("# {} =", key.name) : fmt::format("{} = {}", key.name, value);
        text += fmt::format("{:<36} # {}\n", line, key.help);
    }
    end_section();
    return text;
}

std::string config_help() {
    Config defaults;
    std::string text;
    for (const ConfigKey& key : config_keys()) {
        std::string value = text_of(key, defaults);
        std::string words = key.words.empty() ? "" : fmt::format(" ({})", fmt::join(key.words, ", "));
        text += fmt::format("  {:<26} {}{}{}\n", key.full_name(), key.help, words, value.empty() ? "" : fmt::format(" [{}]", value));
    }
    return text + "  ffn.*, mixer.*             the method's own options\n";
}

std::optional<ConfigDifference> first_difference(const Config& before, const Config& now) {
    for (const ConfigKey& key : config_keys()) {
        if (key.resumable) continue;
        std::string old_text = text_of(key, before), new_text = text_of(key, now);
        if (old_text != new_text) return ConfigDifference{key.full_name(), old_text, new_text};
    }
    if (auto difference = options_difference(before.ffn.options, now.ffn.options)) return difference;
    return options_difference(before.mixer.options, now.mixer.options);
}

}  // namespace apps
