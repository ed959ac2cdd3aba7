#include "tests/support/running_program.h"

#include "tests/support/text_files.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tests {

namespace fs = std::filesystem;

namespace {

Arguments words_of_program(const Arguments& words, const Arguments& before) {
    Arguments all = before;
    all.insert(all.end(), {fs::read_symlink("/proc/self/exe").string(), "program"});
    all.insert(all.end(), words.begin(), words.end());
    return all;
}

}  // namespace

RunningCommand::RunningCommand(const Arguments& words, const Arguments& environment) {
    fs::path said = folder_ / "said";
    std::vector<char*> pointers;
    for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    process_ = fork();
    if (process_ != 0) return;
    for (const std::string& variable : environment) putenv(const_cast<char*>(variable.c_str()));
    int file = open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    execvp(pointers[0], pointers.data());
    _exit(127);
}

RunningCommand::~RunningCommand() {
    if (has_ended()) return;
    send(SIGKILL);
    wait();
}

void RunningCommand::send(int signal) const { kill(process_, signal); }

bool RunningCommand::has_ended() {
    int status = 0;
    if (!status_ && waitpid(process_, &status, WNOHANG) == process_) status_ = status;
    return status_.has_value();
}

ProgramResult RunningCommand::wait() {
    int status = 0;
    if (!status_ && waitpid(process_, &status, 0) == process_) status_ = status;
    status = status_.value_or(0);
    return {WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), read_text(folder_ / "said")};
}

RunningProgram::RunningProgram(const Arguments& words, const Arguments& environment, const Arguments& before)
    : RunningCommand(words_of_program(words, before), environment) {}

int run_process(const Arguments& arguments, double kill_after, int signal, const fs::path& once) {
    RunningProgram program(arguments);
    auto begin = std::chrono::steady_clock::now();
    while (kill_after > 0 && !program.has_ended()) {
        if (!once.empty() && !fs::exists(once)) begin = std::chrono::steady_clock::now();
        if (std::chrono::steady_clock::now() >= begin + std::chrono::duration<double>(kill_after)) {
            program.send(signal);
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return program.wait().code;
}

double resident_bytes() {
    long pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double peak_resident_bytes(const Arguments& arguments) {
    // Children's largest, so a process between us and the program counts for this one only.
    int ends[2];
    if (pipe(ends) != 0) return 0;
    pid_t middle = fork();
    if (middle == 0) {
        int code = run_process(arguments);
        rusage usage{};
        getrusage(RUSAGE_CHILDREN, &usage);
        double bytes = code == 0 ? 1024.0 * static_cast<double>(usage.ru_maxrss) : 0;
        _exit(write(ends[1], &bytes, sizeof bytes) == sizeof bytes ? 0 : 1);
    }
    double bytes = 0;
    if (read(ends[0], &bytes, sizeof bytes) != sizeof bytes) bytes = 0;
    waitpid(middle, nullptr, 0);
    close(ends[0]);
    close(ends[1]);
    return bytes;
}

}  // namespace tests
