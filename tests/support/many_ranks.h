#pragma once
// Ranks that are processes, under mpirun or by themselves.
#include "engine/comm/transport.h"
#include "tests/support/small_runs.h"

namespace tests {

// MPI was built in and mpirun is here; otherwise prints that the test is skipped.
bool can_run_ranks();
// How ranks may be launched here: "tcp", and "mpi" where can_run_ranks().
std::vector<std::string> ways_to_launch();
// This test program's skipped case `name` as the body of every rank; mpirun's exit code.
int run_case_on_ranks(int ranks, const std::string& name);

// The same as ranks that meet over TCP: 0, or the first bad code. Such a rank's body finds its place by meeting_of_test().
int run_case_on_tcp_ranks(int ranks, const std::string& name);
engine::TcpMeeting meeting_of_test();

// A process of the program and what it says on stderr.
class RunningProgram {
  public:
    // `before`: a command that runs the program as its own last words.
    explicit RunningProgram(const Arguments& words, const Arguments& environment = {}, const Arguments& before = {});
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

// `launch --ranks N --over OVER -- ` and the words.
Arguments on_ranks(int ranks, const Arguments& words, const std::string& over = "mpi");

}  // namespace tests
