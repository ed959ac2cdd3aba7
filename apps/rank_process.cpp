#include "apps/rank_process.h"

#include "apps/command.h"
#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace apps {

using engine::expect;

namespace {

using Words = std::vector<std::string>;

constexpr int kMostRanks = 1024;

// What signals are handed on to; 0: has ended.
std::atomic<pid_t> processes[kMostRanks];
volatile std::sig_atomic_t asked = 0;

// To mpirun alone SIGTERM would mean: end the ranks within a second. SIGUSR1 it hands to them.
void hand_on(int) {
    asked = 1;
    for (std::atomic<pid_t>& each : processes) {
        if (pid_t process = each; process > 0) kill(process, SIGUSR1);
    }
}

void hand_signals_on() {
    struct sigaction action {};
    action.sa_handler = hand_on;
    for (int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
}

// What started this program: the words before `launch`, the first as a path that holds anywhere.
Words own_command() {
    Words words;
    std::string text = engine::io::read_file("/proc/self/cmdline");
    for (std::size_t at = 0; at < text.size(); at = text.find('\0', at) + 1) words.emplace_back(text.c_str() + at);
    Words command{std::filesystem::read_symlink("/proc/self/exe").string()};
    for (std::size_t i = 1; i < words.size() && words[i] != "launch"; ++i) command.push_back(words[i]);
    return command;
}

Words joined(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

Words mpirun_command(int ranks) {
    return {"mpirun", "--quiet", "-n", std::to_string(ranks),
            // More ranks than cores may run, each with as many threads as it likes.
            "--oversubscribe", "--bind-to", "none",
            // This machine only: no remote shell, no network between the ranks.
            "--mca", "plm", "isolated", "--mca", "btl", "self,vader",
            // Seconds that the others have to say which rank died, before they are killed.
            "--mca", "odls_base_sigkill_timeout", "2"};
}

[[noreturn]] void become(const Words& words) {
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

void start(int place, const Words& words) {
    pid_t child = fork();
    expect(child >= 0, "launch", "no process can be started: {}", std::strerror(errno));
    if (child == 0) become(words);
    processes[place] = child;
    if (asked != 0) kill(child, SIGUSR1);
}

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : kFailed; }

int told_code(int code) { return code == kDone || code == kWrongUsage || code == kStoppedEarly ? code : kFailed; }

// Where the ranks find each other: a folder of this start alone, which nobody else may look into.
class MeetingFolder {
  public:
    MeetingFolder() : path_((std::filesystem::temp_directory_path() / "moegrad-ranks-XXXXXX").string()) {
        expect(mkdtemp(path_.data()) != nullptr, "launch", "no folder can be made in {}: {}",
               std::filesystem::temp_directory_path().string(), std::strerror(errno));
    }
    ~MeetingFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    MeetingFolder(const MeetingFolder&) = delete;
    MeetingFolder& operator=(const MeetingFolder&) = delete;
    std::string init() const { return "file://" + path_; }

  private:
    std::string path_;
};

}  // namespace

bool mpirun_is_here() {
    const char* path = std::getenv("PATH");
    std::stringstream folders(path != nullptr ? path : "");
    for (std::string folder; std::getline(folders, folder, ':');) {
        if (access((folder + "/mpirun").c_str(), X_OK) == 0) return true;
    }
    return false;
}

int run_ranks_by_mpi(int ranks, const Words& words) {
    hand_signals_on();
    start(0, joined(joined(mpirun_command(ranks), own_command()), words));
    int status = 0;
    while (waitpid(processes[0], &status, 0) < 0 && errno == EINTR) {}
    processes[0] = 0;
    expect(code_of(status) != 127, "launch", "mpirun is not on this machine; hint: install openmpi-bin (tools/install ranks)");
    return told_code(code_of(status));
}

int run_ranks_by_tcp(int ranks, const Words& words) {
    using Clock = std::chrono::steady_clock;
    expect(ranks <= kMostRanks, "launch", "too many ranks: got {}, expected at most {}", ranks, kMostRanks);
    hand_signals_on();
    MeetingFolder folder;
    for (int rank = 0; rank < ranks; ++rank) {
        Words place{"--rank",       std::to_string(rank), "--world", std::to_string(ranks),
                    "--local-rank", std::to_string(rank), "--init",  folder.init()};
        start(rank, joined(joined(own_command(), words), place));
    }
    std::vector<int> codes;
    Clock::time_point first_failure = Clock::time_point::max();
    for (; codes.size() < static_cast<std::size_t>(ranks); usleep(10'000)) {
        // Those that have not noticed a dead rank by themselves.
        bool late = first_failure < Clock::now() - std::chrono::seconds(3);
        for (std::atomic<pid_t>& each : processes) {
            int status = 0;
            if (each == 0) continue;
            if (late) kill(each, SIGKILL);
            if (waitpid(each, &status, WNOHANG) <= 0) continue;
            each = 0;
            codes.push_back(told_code(code_of(status)));
            if (codes.back() == kFailed) first_failure = std::min(first_failure, Clock::now());
        }
    }
    bool agree = std::all_of(codes.begin(), codes.end(), [&](int code) { return code == codes.front(); });
    return agree ? codes.front() : kFailed;
}

}  // namespace apps
