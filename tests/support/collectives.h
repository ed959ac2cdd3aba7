#pragma once
#include "engine/comm/tree_sums.h"

#include <vector>

namespace tests {

// The same calls on every kind of rank: sums and gathers of awkward sizes, rows with padding among them, and agreements; all results.
std::vector<double> collected(engine::Communicator& communicator);
// What rank 0 of as many virtual ranks collects: other kinds of ranks must have its bits.
std::vector<double> collected_by_virtual_ranks(int ranks);

// The next bucket of `tensor` (n) joins the sums; what each rank needs of the whole tensor, if anything is said, is cut to it.
void add_bucket(engine::TreeSums& sums, engine::Communicator& ranks, const engine::Tensor& tensor, engine::Range bucket,
                const std::vector<engine::Range>& needed);

}  // namespace tests
