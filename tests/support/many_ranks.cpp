#include "tests/support/many_ranks.h"

#include <cstdlib>
#include <iostream>
#include <memory>

namespace tests {

bool can_run_ranks() {
    static const bool can = engine::mpi_is_built() && std::system("command -v mpirun > /dev/null") == 0;
    if (!can) std::cout << "skipped: ranks as processes need MPI (tools/install ranks)" << std::endl;
    return can;
}

std::vector<std::string> ways_to_launch() {
    if (can_run_ranks()) return {"tcp", "mpi"};
    return {"tcp"};
}

int run_case_on_ranks(int ranks, const std::string& name) {
    std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    ProgramResult result = RunningCommand({"mpirun", "-n", std::to_string(ranks), "--oversubscribe", "--bind-to", "none", self, "--no-skip",
                                           "--test-case=" + name},
                                          {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"})
                               .wait();
    if (result.code != 0) std::cout << result.errors << std::endl;
    return result.code;
}

int run_case_on_tcp_ranks(int ranks, const std::string& name) {
    TemporaryFolder folder;
    std::vector<std::unique_ptr<RunningCommand>> all;
    for (int rank = 0; rank < ranks; ++rank) {
        all.push_back(std::make_unique<RunningCommand>(
            Arguments{"/proc/self/exe", "--no-skip", "--test-case=" + name},
            Arguments{"MOEGRAD_TEST_RANK=" + std::to_string(rank), "MOEGRAD_TEST_RANKS=" + std::to_string(ranks),
                      "MOEGRAD_TEST_FOLDER=" + folder.path().string()}));
    }
    int worst = 0;
    for (auto& rank : all) {
        ProgramResult result = rank->wait();
        if (result.code != 0) std::cout << result.errors << std::endl;
        if (worst == 0) worst = result.code;
    }
    return worst;
}

engine::TcpMeeting meeting_of_test() {
    engine::TcpMeeting meeting{.host = {}, .token = {}, .folder = std::getenv("MOEGRAD_TEST_FOLDER"), .seconds = 60};
    meeting.rank = std::stoi(std::getenv("MOEGRAD_TEST_RANK"));
    meeting.size = std::stoi(std::getenv("MOEGRAD_TEST_RANKS"));
    return meeting;
}

Arguments on_ranks(int ranks, const Arguments& words, const std::string& over) {
    Arguments all{"launch", "--ranks", std::to_string(ranks), "--over", over, "--"};
    all.insert(all.end(), words.begin(), words.end());
    return all;
}

}  // namespace tests
