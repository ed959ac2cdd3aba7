#pragma once
// The program as a process of its own, and what it says.
#include "tests/support/program_output.h"
#include "tests/support/temporary_folder.h"

#include <filesystem>
#include <optional>

namespace tests {

// A command as a child, with all that it says in a file.
class RunningCommand {
  public:
    // `environment`: VARIABLE=value, over this process's.
    explicit RunningCommand(const Arguments& words, const Arguments& environment = {});
    ~RunningCommand();
    RunningCommand(const RunningCommand&) = delete;
    RunningCommand& operator=(const RunningCommand&) = delete;

    int process() const { return process_; }
    void send(int signal) const;
    bool has_ended();
    // Until it ends; the code is 128 + signal where one ended it.
    ProgramResult wait();

  private:
    TemporaryFolder folder_;
    int process_ = 0;
    std::optional<int> status_;
};

// The program, which is this test program with other first words; `before`: a command that runs the program as its own last words.
class RunningProgram : public RunningCommand {
  public:
    explicit RunningProgram(const Arguments& words, const Arguments& environment = {}, const Arguments& before = {});
};

// Its code; `kill_after` seconds (0: never) after it began, or after the file `once` is there, it gets `signal`.
int run_process(const Arguments& arguments, double kill_after = 0, int signal = 0, const std::filesystem::path& once = {});

// What this process has resident now; its children begin with that.
double resident_bytes();
// The most memory that such a process, which must succeed, ever had resident.
double peak_resident_bytes(const Arguments& arguments);

}  // namespace tests
