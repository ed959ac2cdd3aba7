#include "apps/command.h"

#include "engine/base/error.h"
#include "nn/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iostream>

namespace apps {
namespace {

// Subcommands of the plan; those outside commands() answer that they are not built.
const std::vector<std::string> kPlanned{"train",   "eval",    "generate", "prepare", "tokenizer", "layer", "logits",
                                        "methods", "compare", "sweep",    "inspect", "diff",      "plan",  "bench",
                                        "profile", "launch",  "export",   "import",  "serve",     "info"};

std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

void check_command_name(const std::string& name) {
    std::vector<std::string> built;
    for (const Command& command : commands()) built.emplace_back(command.name);
    if (name.starts_with("-") || std::find(built.begin(), built.end(), name) != built.end()) return;
    if (std::find(kPlanned.begin(), kPlanned.end(), name) != kPlanned.end()) {
        throw engine::UsageError(fmt::format("[usage] {} is not built yet; hint: moegrad --help lists what is", name));
    }
    throw engine::UsageError(
        fmt::format("[usage] unknown subcommand: got {}; hint: did you mean {}?", nn::option_text(name), nn::nearest_name(name, built)));
}

int parse_and_run(std::vector<std::string> arguments) {
    CLI::App app("Trains and evaluates language models with sparse feed-forward layers.", "moegrad");
    app.set_version_flag("--version", MOEGRAD_VERSION);
    app.require_subcommand(1);
    std::function<int()> chosen;
    for (const Command& command : commands()) {
        CLI::App* sub = app.add_subcommand(command.name, command.help);
        sub->callback([&chosen, run = command.add(*sub)] { chosen = run; });
    }
    if (!arguments.empty()) check_command_name(arguments.front());
    try {
        // CLI11 takes the arguments from the back.
        std::reverse(arguments.begin(), arguments.end());
        app.parse(arguments);
    } catch (const CLI::Success& wanted) { return app.exit(wanted, std::cout, std::cout); } catch (const CLI::ParseError& error) {
        throw wrong_usage(error.what());
    }
    return chosen();
}

}  // namespace

const std::vector<Command>& commands() {
    static const std::vector<Command> table{
        {"prepare", "text, folders, JSON lines, archives to a store of tokens", add_prepare},
        {"train", "trains a model; goes on where a run stopped", add_train},
        {"launch", "trains on several ranks of this machine: launch --ranks N -- train …", add_launch},
        {"eval", "loss, bits per byte and perplexity on held-out text", add_eval},
        {"generate", "writes on from a prompt", add_generate},
        {"logits", "runs a whole model on given token ids", add_logits},
        {"layer", "runs one layer of any method, forward and backward, on given weights and inputs", add_layer},
        {"methods", "the table of methods with formulas, parameters and FLOPs", add_methods},
        {"plan", "parameters, FLOPs and memory of a configuration; bytes and time of its step on many ranks", add_plan},
        {"compare", "one HTML report of one run or many: losses, costs, experts, settings", add_compare},
        {"inspect", "a run's tensors; usage, dead experts, co-selection and unevenness of its layers", add_inspect},
        {"sweep", "trains the rows of a comparison at equal parameters or FLOPs; resumable", add_sweep},
        {"bench", "time, GB/s, TFLOP/s and fraction of the measured ceiling, per kernel and shape; bench comm: of ranks", add_bench},
        {"info", "version, build options, devices, limits", add_info},
    };
    return table;
}

engine::UsageError wrong_usage(const std::string& what) {
    return engine::UsageError(fmt::format("[usage] {}; hint: moegrad --help", one_line(what)));
}

int run_program(std::vector<std::string> arguments, std::ostream& errors) {
    try {
        return parse_and_run(std::move(arguments));
    } catch (const engine::UsageError& error) {
        errors << "moegrad: " << one_line(error.what()) << std::endl;
        return kWrongUsage;
    } catch (const engine::Error& error) { errors << "moegrad: " << one_line(error.what()) << std::endl; } catch (const std::bad_alloc&) {
        errors << "moegrad: [memory] out of memory" << std::endl;
    } catch (const std::exception& error) {
        // Libraries that know no engine::Error name their op as well.
        std::string text = one_line(error.what());
        errors << "moegrad: " << (text.starts_with("[") ? "" : "[failed] ") << text << std::endl;
    }
    return kFailed;
}

}  // namespace apps
