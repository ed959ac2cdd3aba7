#pragma once
#include "engine/comm/communicator.h"

#include <string>
#include <vector>

namespace apps {

// A collective on values whose result is known to the last bit.
struct CommCheck {
    std::string collective, what;
    std::vector<int> wrong_ranks;  // where a value was another; empty: exact
    bool exact() const { return wrong_ranks.empty(); }
};

struct CommChecks {
    std::vector<CommCheck> checks;
    // Of the aligned tree's root over 64 leaves (more where there are more ranks), in float32: the same for every number of ranks.
    std::uint64_t tree_hash = 0;
    std::vector<std::string> failures() const;
};

// Small integers in odd sizes through every collective of exec.communicator, which no order of a sum can round; and for tree_sum leaves of
// all magnitudes, whose root must have the bits of the tree added on the host. Collective; every rank gets the same result.
CommChecks check_collectives(engine::Exec& exec);

}  // namespace apps
