#pragma once
#include "engine/comm/rank_subset.h"
#include "engine/comm/tree_sums.h"
#include "nn/parameter_store.h"

#include <deque>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace nn {

// How the ranks' gradients become one: along the aligned tree, the same bits for any number of ranks; or in the communicator's fastest
// order.
enum class Reduction { exact, fast };

// The sums of a pass's gradients over its ranks, beside the backward pass: gradients are cut into buckets of whole parameters, or a large
// parameter into several, and a bucket's sum begins once the tape has told that its parameters' gradients are complete. What all ranks hold
// is summed over all of them, for each rank what it needs where the optimizer's state is cut; what ranks share, over those that hold the
// same of it: a group's sum is a subtree's.
class GradientSums {
  public:
    using Needed = std::vector<std::vector<ParameterStore::Range>>;
    // needed: of pass_gradient(), by each rank of a cut. bucket: elements, 0: as many as keep memory small.
    GradientSums(engine::Exec& exec, ParameterStore& store, Reduction reduction, const Needed& needed, Size bucket = 0);

    // Before the backward pass; what Tape::backward tells after every node; after it. Every gradient is a sum then, or zeros where no share
    // reached a parameter on any rank.
    void begin();
    void after_node(std::span<const Var> complete);
    void finish();

    std::size_t buckets() const { return buckets_.size(); }
    // Of this pass, so far.
    std::size_t begun() const { return begun_; }

  private:
    struct Bucket {
        ParameterStore::Range range;
        int sharers = 1;
        std::vector<ParameterStore::Range> needed;  // by each rank, within the range; empty: all
        int parameters = 0;                         // in it
        int missing = 0;                            // that are not complete
    };
    struct Part {
        const ParameterStore::Place* place;
        std::size_t first_bucket, last_bucket;
        bool complete = false;
    };
    void cut(Size most);
    void append(const ParameterStore::Range& range, const Part& part, bool joins);
    void complete(Part& part);
    void start(const Bucket& bucket);
    engine::Communicator& ranks_of(const Bucket& bucket);

    engine::Exec& exec_;
    ParameterStore& store_;
    Reduction reduction_;
    std::vector<Bucket> buckets_;
    std::vector<Part> parts_;                               // in the order of pass_gradient()
    std::unordered_map<const void*, std::size_t> part_of_;  // by Var::identity
    std::map<int, engine::RankSubset> replicas_;            // by sharers
    engine::Exec beside_;
    std::optional<engine::TreeSums> sums_;
    std::deque<std::size_t> ready_;
    std::size_t begun_ = 0;
};

}  // namespace nn
