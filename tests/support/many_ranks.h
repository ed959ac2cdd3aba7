#pragma once
// Ranks that are processes, under mpirun.
#include "tests/support/small_runs.h"

namespace tests {

// MPI was built in and mpirun is here; otherwise prints that the test is skipped.
bool can_run_ranks();
// This test program's skipped case `name` as the body of every rank; mpirun's exit code.
int run_case_on_ranks(int ranks, const std::string& name);

// A process of the program and what it says on stderr.
class RunningProgram {
  public:
    explicit RunningProgram(const Arguments& words, const Arguments& environment = {});
    ~RunningProgram();
    RunningProgram(const RunningProgram&) = delete;
    RunningProgram& operator=(const RunningProgram&) = delete;

    int process() const { return process_; }
    void send(int signal) const;
    // Until it ends; the code is 128 + signal where one ended it.
    ProgramResult wait();

  private:
    TemporaryFolder folder_;
    int process_ = 0;
};

// `launch --ranks N -- ` and the words.
Arguments on_ranks(int ranks, const Arguments& words);

}  // namespace tests
