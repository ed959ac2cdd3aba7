#pragma once
#include "engine/comm/communicator.h"

#include <vector>

namespace tests {

// The same calls on every kind of rank: sums and gathers of awkward sizes, rows with padding among them, and agreements; all results.
std::vector<double> collected(engine::Communicator& communicator);
// What rank 0 of as many virtual ranks collects: other kinds of ranks must have its bits.
std::vector<double> collected_by_virtual_ranks(int ranks);

}  // namespace tests
