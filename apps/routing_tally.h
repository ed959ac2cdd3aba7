#pragma once
// How a trained layer's choices spread over its experts, or cells, on a text: over all of it, over windows, over sequences
// (avgk-smlp-baselines.md section 4, pkm-peer.md section 6).
#include "nn/language_model.h"

#include <cstdint>
#include <map>
#include <vector>

namespace apps {

using nn::Size;

// How even amounts are that stand on E places.
struct Spread {
    double unused = 0;         // places with nothing
    double perplexity = 0;     // exp of the shares' entropy: how many places are as good as used
    double unevenness = 0;     // ln E − entropy, in nats: 0 where even
    double max_violation = 0;  // E · largest share − 1
    double gini = 0;           // 0 even, 1 all on one place
    Size half = 0, most = 0;   // fewest places that hold 50 % and 90 %
};
// `amounts` are those that are not zero, of `places`.
Spread spread_of(std::vector<double> amounts, Size places);

// Sums over parts of the text, each looked at alone.
struct ScopeSpread {
    Size parts = 0, choices = 0;
    double unused = 0, perplexity = 0, max_violation = 0;
};

class RoutingTally {
  public:
    // Choices of one window (B,T); `scored` B·T, false where a stream has ended. Throws where the choices are not a row each.
    void add(const engine::Exec& exec, const nn::Routing& routing, Size sequences, const std::vector<bool>& scored);

    Size cells() const { return static_cast<Size>(count_.size()); }
    Size heads = 0, k = 0;  // choices of a row: heads · k
    Size rows = 0, choices = 0;
    Size dropped = 0;           // choices with a gate of 0: seats were taken, or a ReLU is shut
    Size repeated = 0;          // choices of a cell that the row had chosen already, by another head
    double router_entropy = 0;  // mean over rows, in nats; 0 where there are no logits
    bool has_logits = false;
    bool from_product_keys = false;  // ids are i · √E + j
    ScopeSpread window_scope, sequence_scope;

    const std::vector<double>& counts() const { return count_; }
    const std::vector<double>& gate_mass() const { return mass_; }
    Spread choice_spread() const;
    Spread mass_spread() const;
    // Of the two halves of product keys: marginal counts of sub-keys; empty for others.
    std::vector<std::vector<double>> half_counts() const;
    // Rows that chose both, (E,E) row-major, the diagonal the rows that chose one; empty above kMostPairs cells.
    static constexpr Size kMostPairs = 512;
    const std::vector<double>& together() const { return together_; }
    // `together` over what loads alone would give: 1 as often, 2 twice as often.
    std::vector<double> lift() const;

  private:
    void begin(const nn::Routing& routing);
    void add_scope(ScopeSpread& scope, std::vector<std::int32_t> ids) const;
    void add_row(const std::int32_t* ids, const double* gates, Size columns);

    std::vector<double> count_, mass_, together_;
};

}  // namespace apps
