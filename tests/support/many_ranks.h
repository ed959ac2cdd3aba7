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

// `launch --ranks N --over OVER -- ` and the words.
Arguments on_ranks(int ranks, const Arguments& words, const std::string& over = "mpi");

}  // namespace tests
