#include "apps/command.h"
#include "apps/option_checks.h"
#include "apps/rank_process.h"
#include "engine/base/error.h"
#include "engine/comm/transport.h"

#include <CLI/CLI.hpp>
#include <memory>

namespace apps {
namespace {

struct LaunchArguments {
    int ranks = 0;
    std::string over;
    std::vector<std::string> words;
};

int run_launch(const LaunchArguments& arguments) {
    const std::vector<std::string>& words = arguments.words;
    bool knows_ranks = !words.empty() && (words[0] == "train" || (words[0] == "bench" && words.size() > 1 && words[1] == "comm"));
    if (!knows_ranks) {
        throw engine::UsageError(
            "[usage] launch starts trainings: expected `launch --ranks N -- train …`, or `-- bench comm …`; hint: moegrad train --help");
    }
    if (words[0] == "train") check_train({words.begin() + 1, words.end()}, arguments.ranks);
    bool mpi = engine::mpi_is_built() && mpirun_is_here();
    engine::expect(mpi || arguments.over != "mpi", "launch",
                   "there is no MPI, in this program or on this machine; hint: tools/install ranks, then configure and build again, or "
                   "leave --over to this program");
    return mpi && arguments.over != "tcp" ? run_ranks_by_mpi(arguments.ranks, arguments.words)
                                          : run_ranks_by_tcp(arguments.ranks, arguments.words);
}

}  // namespace

std::function<int()> add_launch(CLI::App& app) {
    auto arguments = std::make_shared<LaunchArguments>();
    app.add_option("--ranks", arguments->ranks, "ranks on this machine")->required()->check(between(1, 1024));
    app.add_option("--over", arguments->over, "how they speak: mpi or tcp (default: mpi where there is one)")
        ->check(CLI::IsMember({"mpi", "tcp"}));
    app.add_option("words", arguments->words, "after --: train or bench comm, and its options");
    app.positionals_at_end();
    return [arguments] { return run_launch(*arguments); };
}

}  // namespace apps
