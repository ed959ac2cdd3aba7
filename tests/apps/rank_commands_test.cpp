#include "tests/support/many_ranks.h"

#include <cstdlib>
#include <fstream>

#include <doctest/doctest.h>
#include <sys/wait.h>

using namespace tests;

namespace {

namespace fs = std::filesystem;

void write_script(const fs::path& file, const std::string& text) {
    std::ofstream(file) << "#!/bin/bash\n" << text << "\n";
    fs::permissions(file, fs::perms::owner_all);
}

// The indented blocks of the page, as they stand there.
std::vector<std::string> commands_of_page() {
    std::ifstream page("docs/many_ranks.md");
    std::vector<std::string> blocks;
    bool inside = false;
    for (std::string line; std::getline(page, line);) {
        if (line == "```sh") blocks.emplace_back();
        if (inside && line != "```") blocks.back() += line + "\n";
        inside = line == "```sh" || (inside && line != "```");
    }
    return blocks;
}

}  // namespace

TEST_CASE("the commands of docs/many_ranks.md train, word for word, and end in equal bits") {
    SmallRuns runs;
    fs::create_directories(runs / "bin");
    write_script(runs / "bin/moegrad", "exec " + fs::read_symlink("/proc/self/exe").string() + " program \"$@\"");
    // Slurm's launcher over mpirun: its variables for every rank, and no other option than the page's.
    write_script(runs / "bin/srun",
                 "[ \"$1\" = --mpi=pmix ] || exit 3\nshift\nexport SLURM_STEP_ID=0\n"
                 "exec mpirun -n \"$SLURM_NTASKS\" bash -c 'SLURM_PROCID=$OMPI_COMM_WORLD_RANK exec \"$@\"' rank \"$@\"");
    std::vector<std::string> commands = commands_of_page();
    REQUIRE(commands.size() == 5);
    if (!can_run_ranks()) commands.resize(2);  // those that need no MPI stand first
    std::string variables =
        "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 SLURM_NTASKS=2 "
        "PATH=\"$PWD/bin:$PATH\"\n";
    for (std::size_t i = 0; i < commands.size(); ++i) {
        write_script(runs / "command", variables + commands[i]);
        int status = std::system(("cd " + (runs / "").string() + " && ./command > errors 2>&1").c_str());
        std::ifstream errors(runs / "errors");
        CHECK_MESSAGE(WEXITSTATUS(status) == 0, std::string(std::istreambuf_iterator<char>(errors), {}));
    }
    CHECK(fs::exists(runs / "comm.json") == (commands.size() == 5));
    for (const char* out : {"runs/by-hand", "runs/mpirun", "runs/slurm"}) {
        if (commands.size() == 2 && out != std::string("runs/by-hand")) continue;
        CHECK(metrics_of(runs / "runs/launched") == metrics_of(runs / out));
        CHECK(tensors_of(runs / "runs/launched/checkpoints/step-12") == tensors_of(runs / (std::string(out) + "/checkpoints/step-12")));
    }
}
