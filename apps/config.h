#pragma once
// A run's configuration (PROGRAMS, "Configuration"). config_keys() is the one table from which parsing, ranges, --set, the commented
// TOML and the help come; the defaults are those of this struct.
#include "nn/options.h"

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace apps {

using nn::Size;
using OptionalSize = std::optional<Size>;
using Factors = std::map<std::string, double>;

// Where in the model a layer stands.
struct LayerList {
    bool all = true;
    std::vector<Size> which;
    bool operator==(const LayerList&) const = default;
};

struct Config {
    struct Top {
        Size seed = 0;
    } top;
    struct Data {
        std::string path;
        OptionalSize context;
    } data;
    struct Model {
        std::string kind = "transformer-xl";
        OptionalSize vocab, channels, layers, heads, head_size, memory;
        double dropout = 0;
        bool rope = false, tied = false, bias = false;
    } model;
    // `options` are those of the method, which checks them.
    struct FeedForward {
        std::string method;
        LayerList layers;
        OptionalSize dense_hidden;
        std::string dense_activation = "relu";
        bool share_values = false;
        nn::OptionTable options{"ffn"};
    } ffn;
    struct Mixer {
        std::string method;
        LayerList layers;
        nn::OptionTable options{"mixer"};
    } mixer;
    struct Train {
        OptionalSize steps, batch, micro_batch, schedule_steps;
        Size accumulate = 1;
        bool recompute = false;
        double lr = 2.5e-4;
        Size warmup = 0;
        std::string schedule = "cosine";
        Factors lr_scale, decay_scale;
        std::string table_rows = "all";
        double clip = 0, weight_decay = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
        std::string dtype = "float32", device = "cpu";
        Size threads = 0, log_every = 10, eval_every = 0, save_every = 0, keep = 2;
        bool tensorboard = false;
    } train;
    struct Eval {
        OptionalSize memory;
        Size streams = 1;
    } eval;
    struct Parallel {
        Size ranks = 1, zero = 0, expert = 1, table_shards = 1;
        std::string reduction = "exact";
    } parallel;
};

using Slot = std::variant<Size*, OptionalSize*, double*, bool*, std::string*, LayerList*, Factors*>;

struct ConfigKey {
    std::string section;  // empty: top level
    std::string name;
    std::string help;
    std::function<Slot(Config&)> slot;
    double least = 0;
    double most = 0;
    std::vector<std::string> words;  // of a string; empty: any
    bool resumable = false;          // may differ when a run goes on
    std::string full_name() const { return section.empty() ? name : section + "." + name; }
};

const std::vector<ConfigKey>& config_keys();

// Throws engine::Error for anything wrong in the text; `where` is the file's name in messages.
Config parse_config(std::string_view toml, const std::string& where);
Config load_config(const std::filesystem::path& path);
// One "--set section.key=value". A word that is no TOML value is a string. Throws engine::UsageError.
void set_config(Config& config, const std::string& assignment);
// The effective configuration as commented TOML; parse_config reads it back.
std::string config_text(const Config& config);
// A line a key, for --help.
std::string config_help();
// The options of a file whose keys all stand at top level (`layer`).
nn::OptionTable load_options(const std::filesystem::path& path);

struct ConfigDifference {
    std::string name, before, now;
};
// The first key with another value among those that may not change when a run goes on.
std::optional<ConfigDifference> first_difference(const Config& before, const Config& now);

}  // namespace apps
