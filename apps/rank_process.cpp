#include "apps/rank_process.h"

#include "apps/command.h"
#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace apps {

using engine::expect;

namespace {

volatile pid_t mpirun_process = 0;

// To mpirun alone SIGTERM would mean: end the ranks within a second. SIGUSR1 it hands to them.
void hand_on(int) {
    if (mpirun_process > 0) kill(mpirun_process, SIGUSR1);
}

// What started this program: the words before `launch`, the first as a path that holds anywhere.
std::vector<std::string> own_command() {
    std::vector<std::string> words;
    std::string text = engine::io::read_file("/proc/self/cmdline");
    for (std::size_t at = 0; at < text.size(); at = text.find('\0', at) + 1) words.emplace_back(text.c_str() + at);
    std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe").string()};
    for (std::size_t i = 1; i < words.size() && words[i] != "launch"; ++i) command.push_back(words[i]);
    return command;
}

std::vector<std::string> mpirun_command(int ranks) {
    return {"mpirun", "--quiet", "-n", std::to_string(ranks),
            // More ranks than cores may run, each with as many threads as it likes.
            "--oversubscribe", "--bind-to", "none",
            // This machine only: no remote shell, no network between the ranks.
            "--mca", "plm", "isolated", "--mca", "btl", "self,vader",
            // Seconds that the others have to say which rank died, before they are killed.
            "--mca", "odls_base_sigkill_timeout", "2"};
}

[[noreturn]] void become(const std::vector<std::string>& words) {
    std::vector<char*> pointers;
    for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    // A group of its own: Ctrl-C reaches this program, which asks the ranks to save. Its end is the ranks' end.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    if (geteuid() == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
    execvp(pointers[0], pointers.data());
    _exit(127);
}

}  // namespace

int run_ranks(int ranks, const std::vector<std::string>& words) {
    std::vector<std::string> command = mpirun_command(ranks), own = own_command();
    command.insert(command.end(), own.begin(), own.end());
    command.insert(command.end(), words.begin(), words.end());
    struct sigaction action {};
    action.sa_handler = hand_on;
    for (int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
    pid_t child = fork();
    expect(child >= 0, "launch", "no process can be started: {}", std::strerror(errno));
    if (child == 0) become(command);
    mpirun_process = child;
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    mpirun_process = 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
    expect(code != 127, "launch", "mpirun is not on this machine; hint: install openmpi-bin (tools/install ranks)");
    return code == kDone || code == kWrongUsage || code == kStoppedEarly ? code : kFailed;
}

}  // namespace apps
