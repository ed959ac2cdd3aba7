#pragma once
// The subcommands. Each stands in a file of its own; command.cpp has their table.
#include "engine/base/error.h"

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace apps {

inline constexpr int kDone = 0, kFailed = 1, kWrongUsage = 2, kStoppedEarly = 75;

struct Command {
    const char* name;
    const char* help;
    // Adds the options to `app` and returns what runs after parsing; its result is the exit code.
    std::function<int()> (*add)(CLI::App& app);
};

// What is built, in the order of --help.
const std::vector<Command>& commands();

std::function<int()> add_bench(CLI::App& app);
std::function<int()> add_compare(CLI::App& app);
std::function<int()> add_eval(CLI::App& app);
std::function<int()> add_generate(CLI::App& app);
std::function<int()> add_info(CLI::App& app);
std::function<int()> add_inspect(CLI::App& app);
std::function<int()> add_launch(CLI::App& app);
std::function<int()> add_layer(CLI::App& app);
std::function<int()> add_logits(CLI::App& app);
std::function<int()> add_methods(CLI::App& app);
std::function<int()> add_plan(CLI::App& app);
std::function<int()> add_prepare(CLI::App& app);
std::function<int()> add_sweep(CLI::App& app);
std::function<int()> add_train(CLI::App& app);

// Throws what every one of so many ranks would refuse of `train` with these words, before any is started.
void check_train(std::vector<std::string> words, int ranks);

// What a parser of options says, in one line.
engine::UsageError wrong_usage(const std::string& what);

// The whole program but the process: arguments without the program's name; messages go to `errors`. Never throws.
int run_program(std::vector<std::string> arguments, std::ostream& errors);

}  // namespace apps
