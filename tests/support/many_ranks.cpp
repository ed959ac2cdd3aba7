#include "tests/support/many_ranks.h"

#include "tests/support/text_files.h"

#include <csignal>
#include <cstdlib>
#include <iostream>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tests {

namespace {

// A child with its messages in a file.
int start(const Arguments& words, const Arguments& environment, const std::filesystem::path& errors) {
    std::vector<char*> pointers;
    for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    pid_t child = fork();
    if (child != 0) return child;
    for (const std::string& variable : environment) putenv(const_cast<char*>(variable.c_str()));
    int file = open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    execvp(pointers[0], pointers.data());
    _exit(127);
}

int code_of(int child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

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
    TemporaryFolder folder;
    std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    int code = code_of(
        start({"mpirun", "-n", std::to_string(ranks), "--oversubscribe", "--bind-to", "none", self, "--no-skip", "--test-case=" + name},
              {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"}, folder / "errors"));
    if (code != 0) std::cout << read_text(folder / "errors") << std::endl;
    return code;
}

int run_case_on_tcp_ranks(int ranks, const std::string& name) {
    TemporaryFolder folder;
    std::vector<int> children;
    auto errors = [&](int rank) { return folder / ("errors-" + std::to_string(rank)); };
    for (int rank = 0; rank < ranks; ++rank) {
        children.push_back(start({"/proc/self/exe", "--no-skip", "--test-case=" + name},
                                 {"MOEGRAD_TEST_RANK=" + std::to_string(rank), "MOEGRAD_TEST_RANKS=" + std::to_string(ranks),
                                  "MOEGRAD_TEST_FOLDER=" + folder.path().string()},
                                 errors(rank)));
    }
    int worst = 0;
    for (int rank = 0; rank < ranks; ++rank) {
        int code = code_of(children[static_cast<std::size_t>(rank)]);
        if (code != 0) std::cout << read_text(errors(rank)) << std::endl;
        if (worst == 0) worst = code;
    }
    return worst;
}

engine::TcpMeeting meeting_of_test() {
    engine::TcpMeeting meeting{.host = {}, .token = {}, .folder = std::getenv("MOEGRAD_TEST_FOLDER"), .seconds = 60};
    meeting.rank = std::stoi(std::getenv("MOEGRAD_TEST_RANK"));
    meeting.size = std::stoi(std::getenv("MOEGRAD_TEST_RANKS"));
    return meeting;
}

RunningProgram::RunningProgram(const Arguments& words, const Arguments& environment, const Arguments& before) {
    Arguments command = before;
    command.insert(command.end(), {std::filesystem::read_symlink("/proc/self/exe").string(), "program"});
    command.insert(command.end(), words.begin(), words.end());
    process_ = start(command, environment, folder_ / "errors");
}

RunningProgram::~RunningProgram() {
    if (process_ == 0) return;
    kill(process_, SIGKILL);
    code_of(process_);
}

void RunningProgram::send(int signal) const { kill(process_, signal); }

ProgramResult RunningProgram::wait() {
    int code = code_of(process_);
    process_ = 0;
    return {code, read_text(folder_ / "errors")};
}

Arguments on_ranks(int ranks, const Arguments& words, const std::string& over) {
    Arguments all{"launch", "--ranks", std::to_string(ranks), "--over", over, "--"};
    all.insert(all.end(), words.begin(), words.end());
    return all;
}

}  // namespace tests
