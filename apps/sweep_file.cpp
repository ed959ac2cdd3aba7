#include "apps/sweep_file.h"

#include "apps/config_table.h"
#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "moe/methods/table.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace apps {
namespace {

using engine::expect;
using engine::fail;
using Names = std::vector<std::string>;

struct SweepKey {
    const char* name;
    const char* help;
    bool of_file, of_row, of_size;
};

constexpr SweepKey kKeys[] = {
    {"base", "a run's TOML file, from which every row begins; sections of a configuration beside it go over it", true, false, false},
    {"out", "folder of the runs (default: runs/<the file's stem>)", true, false, false},
    {"match", "\"parameters\", \"flops\" (forward, selector included) or \"none\": what all rows have equal", true, true, false},
    {"reference", "the row that the others are brought to (default: the first); in [[size]] a table: its options there", true, true, true},
    {"tolerance", "percent of difference that may remain (2)", true, true, false},
    {"multiple", "widths are multiples of this (1)", true, true, false},
    {"solve", "the option that is turned (default: the method's hidden, expert_size, cells or sub_keys); \"none\": nothing", false, true,
     false},
    {"seeds", "a run each (default: the configuration's)", true, true, false},
    {"lr", "learning rates, tried with the first seed; the best on valid text trains the other seeds", true, true, false},
    {"budgets", "training FLOPs of a run, in place of train.steps; a run each", true, false, false},
    {"name", "of a [[row]] or [[size]]; part of its folder's name", false, true, true},
};

void check_keys(const toml::table& table, const std::string& where, bool SweepKey::*of, const Names& more) {
    Names known = more;
    for (const SweepKey& key : kKeys) {
        if (key.*of) known.emplace_back(key.name);
    }
    std::set<std::string> sections;
    for (const ConfigKey& key : config_keys()) {
        if (!key.section.empty()) sections.insert(key.section);
    }
    known.insert(known.end(), sections.begin(), sections.end());
    for (const auto& [name, node] : table) {
        std::string text(name.str());
        expect(std::find(known.begin(), known.end(), text) != known.end(), "sweep", "{} has an unknown key: got {}; hint: did you mean {}?",
               where, nn::option_text(text), nn::nearest_name(text, known));
        expect(!is_config_section(text) || node.is_table(), "sweep", "{}.{} must be a table: got {}", where, text, node_text(node));
    }
}

// A reader of one table's values; `where` begins its messages.
struct Reader {
    const toml::table& table;
    std::string where;

    [[noreturn]] void wrong(const char* name, const char* expected) const {
        fail("sweep", "{}.{} is wrong: got {}, expected {}", where, name, node_text(*table.get(name)), expected);
    }
    std::string text(const char* name, const std::string& otherwise, const Names& words = {}) const {
        const toml::node* node = table.get(name);
        if (node == nullptr) return otherwise;
        if (!node->is_string()) wrong(name, "a string");
        std::string value = node->as_string()->get();
        expect(words.empty() || std::find(words.begin(), words.end(), value) != words.end(), "sweep",
               "{}.{} is wrong: got {}, expected one of {}; hint: did you mean {}?", where, name, nn::option_text(value),
               fmt::join(words, ", "), nn::nearest_name(value, words));
        return value;
    }
    double number_of(const char* name, const toml::node& node, double least) const {
        double value = node.is_integer()          ? static_cast<double>(node.as_integer()->get())
                       : node.is_floating_point() ? node.as_floating_point()->get()
                                                  : NAN;
        if (!(value >= least) || !std::isfinite(value)) wrong(name, least > 0 ? "numbers above 0" : "numbers of 0 or more");
        return value;
    }
    double number(const char* name, double otherwise, double least) const {
        return table.contains(name) ? number_of(name, *table.get(name), least) : otherwise;
    }
    std::vector<double> numbers(const char* name, std::vector<double> otherwise, double least) const {
        if (!table.contains(name)) return otherwise;
        const toml::array* array = table.get(name)->as_array();
        if (array == nullptr || array->empty()) wrong(name, "a list");
        std::vector<double> values;
        for (const toml::node& node : *array) {
            double value = number_of(name, node, least);
            if (std::find(values.begin(), values.end(), value) != values.end()) wrong(name, "different values");
            values.push_back(value);
        }
        return values;
    }
    Size whole(const char* name, Size otherwise) const {
        if (!table.contains(name)) return otherwise;
        if (!table.get(name)->is_integer() || table.get(name)->as_integer()->get() < 1) wrong(name, "a whole number of 1 or more");
        return table.get(name)->as_integer()->get();
    }
    std::vector<Size> wholes(const char* name, const std::vector<Size>& otherwise) const {
        std::vector<Size> values;
        for (double value : numbers(name, {}, 0)) {
            if (value != std::floor(value) || value > 1e15) wrong(name, "whole numbers");
            values.push_back(static_cast<Size>(value));
        }
        return values.empty() ? otherwise : values;
    }
    Match match(Match otherwise) const {
        const Names words{"none", "parameters", "flops"};
        if (!table.contains("match")) return otherwise;
        std::string word = text("match", "", words);
        return static_cast<Match>(std::find(words.begin(), words.end(), word) - words.begin());
    }
};

// A name that is part of a path.
std::string checked_name(const Reader& reader) {
    expect(reader.table.contains("name"), "sweep", "{} needs a name; hint: name = \"dense\"", reader.where);
    std::string name = reader.text("name", "");
    bool fits = !name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '+';
    });
    expect(fits, "sweep", "{}.name is no part of a path: got {}, expected letters, digits and - _ . +", reader.where,
           nn::option_text(name));
    return name;
}

// Sections of a table over a configuration. A method brings its own options: those of another are no longer meant. A kind of model brings
// its own blocks: attention, memory, feed-forward and mixer of another are no longer meant.
void lay_over(Config& config, const toml::table& table) {
    toml::table sections;
    for (const auto& [name, node] : table) {
        if (is_config_section(std::string(name.str()))) sections.insert(name, *node.as_table());
    }
    if (sections["ffn"]["method"]) config.ffn.options = nn::OptionTable(config.ffn.options.where());
    if (sections["mixer"]["method"]) config.mixer.options = nn::OptionTable(config.mixer.options.where());
    auto kind = sections["model"]["kind"].value<std::string>();
    if (kind && *kind != config.model.kind) {
        const Config::Model none;
        config.model.heads = none.heads, config.model.head_size = none.head_size, config.model.rope = none.rope;
        config.model.memory = none.memory, config.eval.memory = Config::Eval{}.memory;
        config.ffn = {}, config.mixer = {};
    }
    apply_config(config, sections);
}

std::vector<const toml::table*> tables_of(const toml::table& file, const char* name) {
    std::vector<const toml::table*> tables;
    const toml::node* node = file.get(name);
    if (node == nullptr) return tables;
    const toml::array* array = node->as_array();
    expect(array != nullptr && !array->empty(), "sweep", "{} must be tables: got {}, expected [[{}]]", name, node_text(*node), name);
    for (const toml::node& one : *array) {
        expect(one.is_table(), "sweep", "{} must be tables: got {}, expected [[{}]]", name, node_text(one), name);
        tables.push_back(one.as_table());
    }
    return tables;
}

// What a method's size hangs on.
std::string default_width(const Config& config) {
    if (config.ffn.method.empty()) return "mixer.hidden";
    switch (moe::method_named(config.ffn.method).memory) {
        case moe::Memory::block:
            return "ffn.hidden";
        case moe::Memory::scored_cells:
            return "ffn.cells";
        case moe::Memory::values:
        case moe::Memory::keyed_values:
        case moe::Memory::one_cell_experts:
        case moe::Memory::gated_values:
            return "ffn.sub_keys";
        default:
            return "ffn.expert_size";
    }
}

void read_solve(SweepRow& row, const Reader& reader) {
    std::string solve = reader.text("solve", row.match == Match::none ? "none" : "");
    if (solve == "none") row.match = Match::none;
    if (row.match == Match::none) {
        expect(solve == "none", "sweep", "{}.solve has nothing to match: got {}; hint: set match and reference", reader.where,
               nn::option_text(solve));
        row.reference.clear();
        return;
    }
    row.solve = solve.empty() ? default_width(row.configs.front()) : solve.find('.') == std::string::npos ? "ffn." + solve : solve;
    for (const Config& config : row.configs) {
        bool given = (row.solve.starts_with("ffn.") && config.ffn.options.contains(row.solve.substr(4))) ||
                     (row.solve.starts_with("mixer.") && config.mixer.options.contains(row.solve.substr(6)));
        expect(!given, "sweep", "{} gives {}, which is to be found; hint: leave it out, or set solve = \"none\" or another option",
               reader.where, row.solve);
    }
}

SweepRow read_row(const toml::table& table, const std::string& name, const SweepRow& defaults, const std::vector<Config>& bases,
                  const Names& names) {
    Reader reader{table, "row " + name};
    check_keys(table, reader.where, &SweepKey::of_row, {});
    SweepRow row = defaults;
    row.name = name;
    // The reference is what it is, unless it names another row itself.
    if (row.name == row.reference && !table.contains("reference")) row.match = Match::none;
    row.match = reader.match(row.match);
    row.reference = reader.text("reference", row.reference, names);
    row.tolerance = reader.number("tolerance", row.tolerance, 0);
    row.multiple = reader.whole("multiple", row.multiple);
    row.configs = bases;
    for (Config& config : row.configs) lay_over(config, table);
    row.seeds = reader.wholes("seeds", row.seeds.empty() ? std::vector<Size>{row.configs.front().top.seed} : row.seeds);
    row.rates = reader.numbers("lr", row.rates.empty() ? std::vector<double>{row.configs.front().train.lr} : row.rates, 1e-30);
    read_solve(row, reader);
    return row;
}

// What a [[size]] says of the reference's own options.
void read_reference_options(SweepFile& sweep, const std::vector<const toml::table*>& sizes, const std::string& reference) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        const toml::node* node = sizes[i]->get("reference");
        if (node == nullptr) continue;
        expect(node->is_table(), "sweep", "size {}.reference must be a table of options: got {}", sweep.sizes[i], node_text(*node));
        for (SweepRow& row : sweep.rows) {
            if (row.name == reference) apply_config(row.configs[i], toml::table{{"ffn", *node->as_table()}});
        }
    }
}

void check_references(const SweepFile& sweep) {
    Names names;
    for (const SweepRow& row : sweep.rows) {
        expect(std::find(names.begin(), names.end(), row.name) == names.end(), "sweep", "two rows have the same name: {}", row.name);
        names.push_back(row.name);
    }
    for (const SweepRow& row : sweep.rows) {
        const SweepRow* at = &row;
        for (std::size_t hops = 0; at->match != Match::none; ++hops) {
            expect(hops <= names.size(), "sweep",
                   "rows refer to each other in a circle: {} is one of them; hint: give one of them its width", row.name);
            at = &sweep.rows[static_cast<std::size_t>(std::find(names.begin(), names.end(), at->reference) - names.begin())];
        }
    }
}

}  // namespace

SweepFile load_sweep(const std::filesystem::path& path) {
    toml::table file = parse_toml(engine::io::read_file(path), path.string());
    check_keys(file, "the file", &SweepKey::of_file, {"row", "size"});
    Reader reader{file, path.stem().string()};
    std::string base_file = reader.text("base", "");
    Config base = base_file.empty() ? Config{} : load_config(base_file);
    lay_over(base, file);
    SweepFile sweep{.path = path, .out = reader.text("out", (std::filesystem::path("runs") / path.stem()).string())};
    sweep.budgets = reader.numbers("budgets", {0}, 1);
    std::vector<const toml::table*> sizes = tables_of(file, "size"), rows = tables_of(file, "row");
    expect(!rows.empty(), "sweep", "{} has no rows; hint: [[row]] with a name and ffn = {{ method = … }}", path.string());
    std::vector<Config> bases;
    for (const toml::table* size : sizes) {
        check_keys(*size, "a size", &SweepKey::of_size, {});
        sweep.sizes.push_back(checked_name({*size, "a size"}));
        expect(std::count(sweep.sizes.begin(), sweep.sizes.end(), sweep.sizes.back()) == 1, "sweep", "two sizes have the same name: {}",
               sweep.sizes.back());
        bases.push_back(base);
        lay_over(bases.back(), *size);
    }
    if (sizes.empty()) {
        sweep.sizes.emplace_back();
        bases.push_back(base);
    }
    SweepRow defaults{.match = reader.match(Match::none)};
    Names names;
    for (const toml::table* row : rows) names.push_back(checked_name({*row, fmt::format("row {}", names.size() + 1)}));
    defaults.reference = reader.text("reference", names.front(), names);
    defaults.tolerance = reader.number("tolerance", 2, 0);
    defaults.multiple = reader.whole("multiple", 1);
    defaults.seeds = reader.wholes("seeds", {});
    defaults.rates = reader.numbers("lr", {}, 1e-30);
    for (std::size_t i = 0; i < rows.size(); ++i) sweep.rows.push_back(read_row(*rows[i], names[i], defaults, bases, names));
    read_reference_options(sweep, sizes, defaults.reference);
    check_references(sweep);
    return sweep;
}

std::string sweep_help() {
    std::string text;
    for (const SweepKey& key : kKeys) {
        const char* place = key.of_file ? (key.of_row ? "file, row" : "file") : key.of_size ? "row, size" : "row";
        text += fmt::format("  {:<12} {:<10} {}\n", key.name, place, key.help);
    }
    return text + "  [[row]], [[size]] hold sections of a configuration, too: ffn = { method = \"sigma-moe\", n_experts = 16, k = 4 }\n";
}

}  // namespace apps
