#include "apps/config_table.h"
#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace apps {

using engine::expect;
using engine::fail;

std::string node_text(const toml::node& node) {
    std::ostringstream stream;
    node.visit([&](const auto& value) { stream << value; });
    std::string text = stream.str();
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text.substr(0, 80);
}

toml::table parse_toml(std::string_view text, const std::string& where) {
    try {
        return toml::parse(text);
    } catch (const toml::parse_error& error) {
        std::string what(error.description());
        std::replace(what.begin(), what.end(), '\n', ' ');
        fail("config", "{} is not TOML: line {}, column {}: {}", where, error.source().begin.line, error.source().begin.column, what);
    }
}

namespace {

nn::OptionValue option_value(const toml::node& node, const std::string& name) {
    if (auto* value = node.as_boolean()) return value->get();
    if (auto* value = node.as_integer()) return value->get();
    if (auto* value = node.as_floating_point()) return value->get();
    if (auto* value = node.as_string()) return value->get();
    std::vector<std::int64_t> list;
    const toml::array* array = node.as_array();
    expect(array != nullptr, "config", "{} has the wrong type: got {}, expected a number, string, true, false or list", name,
           node_text(node));
    for (const toml::node& element : *array) {
        expect(element.is_integer(), "config", "{} is no list of whole numbers: got {}", name, node_text(node));
        list.push_back(element.as_integer()->get());
    }
    return list;
}

// A node's value for one key, checked.
struct Assign {
    const ConfigKey& key;
    const toml::node& node;

    [[noreturn]] void wrong(const char* expected) const {
        fail("config", "{} has the wrong type: got {}, expected {}", key.full_name(), node_text(node), expected);
    }
    double in_range(double value) const {
        expect(std::isfinite(value) && value >= key.least && value <= key.most, "config", "{} is out of range: got {}, expected {} to {}",
               key.full_name(), node_text(node), key.least, key.most);
        return value;
    }
    Size whole(const toml::node& from) const {
        if (!from.is_integer()) wrong("a whole number");
        Size value = from.as_integer()->get();
        in_range(static_cast<double>(value));
        return value;
    }
    double number(const toml::node& from) const {
        if (!from.is_number()) wrong("a number");
        return in_range(from.is_integer() ? static_cast<double>(from.as_integer()->get()) : from.as_floating_point()->get());
    }
    void operator()(Size* to) const { *to = whole(node); }
    void operator()(OptionalSize* to) const { *to = whole(node); }
    void operator()(double* to) const { *to = number(node); }
    void operator()(bool* to) const {
        if (!node.is_boolean()) wrong("true or false");
        *to = node.as_boolean()->get();
    }
    void operator()(std::string* to) const {
        if (!node.is_string()) wrong("a string");
        const std::string& text = node.as_string()->get();
        bool known = key.words.empty() || std::find(key.words.begin(), key.words.end(), text) != key.words.end();
        expect(known, "config", "{} has an unknown value: got {}, expected one of {}; hint: did you mean {}?", key.full_name(),
               nn::option_text(text), fmt::join(key.words, ", "), nn::nearest_name(text, key.words));
        *to = text;
    }
    void operator()(LayerList* to) const {
        const toml::array* array = node.as_array();
        if (node.is_string() && node.as_string()->get() == "all") {
            *to = {};
            return;
        }
        if (array == nullptr) wrong("\"all\" or a list of layers");
        *to = {false, {}};
        for (const toml::node& element : *array) to->which.push_back(whole(element));
    }
    void operator()(Factors* to) const {
        if (!node.is_table()) wrong("a table of factors");
        to->clear();
        for (const auto& [name, factor] : *node.as_table()) (*to)[std::string(name.str())] = number(factor);
    }
};

nn::OptionTable* open_options(Config& config, const std::string& section) {
    if (section == "ffn") return &config.ffn.options;
    return section == "mixer" ? &config.mixer.options : nullptr;
}

// Null where there is none.
const ConfigKey* key_named(const std::string& section, const std::string& name) {
    for (const ConfigKey& key : config_keys()) {
        if (key.section == section && key.name == name) return &key;
    }
    return nullptr;
}

void assign(Config& config, const std::string& section, const std::string& name, const toml::node& node) {
    if (const ConfigKey* key = key_named(section, name)) return std::visit(Assign{*key, node}, key->slot(config));
    std::string full = section.empty() ? name : section + "." + name;
    if (nn::OptionTable* options = open_options(config, section)) return options->set(name, option_value(node, full));
    std::vector<std::string> names;
    for (const ConfigKey& key : config_keys()) names.push_back(key.full_name());
    fail("config", "unknown key: got {}; hint: did you mean {}?", nn::option_text(full), nn::nearest_name(full, names));
}

// One part of a table of factors, the others kept: train.lr_scale.values=4. False where `name` is no such part.
bool assign_factor(Config& config, const std::string& section, const std::string& name, const toml::node& node) {
    std::size_t dot = name.find('.');
    const ConfigKey* key = dot == std::string::npos ? nullptr : key_named(section, name.substr(0, dot));
    if (key == nullptr) return false;
    Slot slot = key->slot(config);
    Factors** factors = std::get_if<Factors*>(&slot);
    if (factors == nullptr) return false;
    Factors before = **factors;
    assign(config, section, key->name, toml::table{{name.substr(dot + 1), node}});
    for (const auto& [part, factor] : before) (*factors)->try_emplace(part, factor);
    return true;
}

void check_section(const std::string& section) {
    if (is_config_section(section)) return;
    std::vector<std::string> names;
    for (const ConfigKey& key : config_keys()) {
        if (!key.section.empty()) names.push_back(key.section);
    }
    fail("config", "unknown section: got {}; hint: did you mean {}?", nn::option_text(section), nn::nearest_name(section, names));
}

}  // namespace

bool is_config_section(const std::string& name) {
    return !name.empty() &&
           std::any_of(config_keys().begin(), config_keys().end(), [&](const ConfigKey& key) { return key.section == name; });
}

void apply_config(Config& config, const toml::table& table) {
    for (const auto& [name, node] : table) {
        std::string section(name.str());
        const toml::table* inner = node.as_table();
        if (inner == nullptr) {
            assign(config, "", section, node);
            continue;
        }
        check_section(section);
        for (const auto& [key, value] : *inner) assign(config, section, std::string(key.str()), value);
    }
}

Config parse_config(std::string_view text, const std::string& where) {
    Config config;
    apply_config(config, parse_toml(text, where));
    return config;
}

Config load_config(const std::filesystem::path& path) { return parse_config(engine::io::read_file(path), path.string()); }

void set_config(Config& config, const std::string& assignment) {
    try {
        std::size_t equals = assignment.find('=');
        expect(equals != std::string::npos && equals > 0, "config", "--set wants section.key=value: got {}", nn::option_text(assignment));
        std::string name = assignment.substr(0, equals), value = assignment.substr(equals + 1);
        std::size_t dot = name.find('.');
        std::string section = dot == std::string::npos ? "" : name.substr(0, dot);
        if (!section.empty()) check_section(section);
        toml::table table;
        try {
            table = toml::parse("value = " + value);
        } catch (const toml::parse_error&) { table.clear(); }
        if (table.size() != 1 || !table.contains("value")) {
            table.clear();
            table.insert("value", value);
        }
        std::string key = dot == std::string::npos ? name : name.substr(dot + 1);
        if (assign_factor(config, section, key, *table.get("value"))) return;
        assign(config, section, key, *table.get("value"));
    } catch (const engine::UsageError&) { throw; } catch (const engine::Error& error) {
        throw engine::UsageError(error.what());
    }
}

nn::OptionTable load_options(const std::filesystem::path& path) {
    nn::OptionTable options(path.string());
    for (const auto& [name, node] : parse_toml(engine::io::read_file(path), path.string())) {
        options.set(std::string(name.str()), option_value(node, std::string(name.str())));
    }
    return options;
}

}  // namespace apps
