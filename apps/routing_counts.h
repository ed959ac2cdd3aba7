#pragma once
#include "nn/feed_forward.h"

#include <cstdint>
#include <vector>

namespace apps {

// What a layer's choices look like: ids and gates (N,K) or, of product keys, (N,H,K) row-major, ids below `cells`; an id below 0 chose
// nobody.
struct RoutingShape {
    std::int64_t cells = 0;
    std::int64_t choices = 1;          // of a row, all heads together
    std::int64_t sub_keys = 0;         // P, where cell = i·P + j; 0: no product keys
    std::int64_t sequence_length = 0;  // rows of a sequence; 0: sequences are not told apart
};

// Without cells where the layer tells no choices.
RoutingShape routing_shape(const nn::Routing& routing, std::int64_t sequence_length);

// Sums over the sequences that were counted.
struct SequenceSums {
    std::int64_t count = 0;
    double entropy = 0, max_violation = 0, dead = 0;
};

// One layer's choices counted over any number of passes. Sequences are counted on their own, too: balance over a batch may hide that each
// sequence uses few experts.
class RoutingCounts {
  public:
    explicit RoutingCounts(const RoutingShape& shape);

    // Whole rows; whole sequences where they are told apart.
    void add(const std::vector<std::int32_t>& ids, const std::vector<double>& gates);

    const RoutingShape& shape() const { return shape_; }
    const std::vector<std::int64_t>& load() const { return load_; }             // choices of each cell
    const std::vector<double>& gate_mass() const { return gate_mass_; }         // their summed gates
    const std::vector<std::int64_t>& first_half() const { return halves_[0]; }  // choices of each sub-key of the first half; of the second
    const std::vector<std::int64_t>& second_half() const { return halves_[1]; }
    const SequenceSums& sequences() const { return sequences_; }
    std::int64_t choices() const { return choices_; }
    std::int64_t without_gate() const {
        return without_gate_;
    }                                                    // choices with a gate of exactly 0: what a capacity dropped, a ReLU's zeros
    std::int64_t repeated() const { return repeated_; }  // choices of a cell that an earlier choice of the same row had taken

  private:
    void count_repeated(const std::int32_t* ids);
    void count_sequence(const std::int32_t* ids, std::int64_t count);

    RoutingShape shape_;
    std::vector<std::int64_t> load_, halves_[2];
    std::vector<double> gate_mass_;
    std::vector<std::int32_t> seen_;  // of a row or a sequence, kept for its memory
    SequenceSums sequences_;
    std::int64_t choices_ = 0, without_gate_ = 0, repeated_ = 0;
};

}  // namespace apps
