#include "apps/command.h"
#include "apps/rank_process.h"
#include "engine/base/error.h"
#include "engine/comm/transport.h"

#include <CLI/CLI.hpp>
#include <memory>

namespace apps {
namespace {

struct LaunchArguments {
    int ranks = 0;
    std::vector<std::string> words;
};

int run_launch(const LaunchArguments& arguments) {
    const std::vector<std::string>& words = arguments.words;
    bool knows_ranks = !words.empty() && (words[0] == "train" || (words[0] == "bench" && words.size() > 1 && words[1] == "comm"));
    if (!knows_ranks) {
        throw engine::UsageError(
            "[usage] launch starts trainings: expected `launch --ranks N -- train …`, or `-- bench comm …`; hint: moegrad train --help");
    }
    engine::expect(
        engine::mpi_is_built(), "launch",
        "this program was built without MPI; hint: install libopenmpi-dev and openmpi-bin (tools/install ranks), then configure and "
        "build again; --set parallel.ranks=N runs virtual ranks");
    return run_ranks(arguments.ranks, arguments.words);
}

}  // namespace

std::function<int()> add_launch(CLI::App& app) {
    auto arguments = std::make_shared<LaunchArguments>();
    app.add_option("--ranks", arguments->ranks, "ranks on this machine")->required()->check(CLI::Range(1, 1024));
    app.add_option("words", arguments->words, "after --: train or bench comm, and its options");
    app.positionals_at_end();
    return [arguments] { return run_launch(*arguments); };
}

}  // namespace apps
