#pragma once
#include "moe/selectors/selector.h"

namespace moe {

// Experts by a fixed table of token ids (Roller 2021; RandHash of Liu 2023): state hash.table (vocab,K) int32, no router, no gradient.
class TokenTable final : public ExpertSelector {
  public:
    // `balanced`: every expert has the same number of ids, else the k experts of an id are drawn at random.
    TokenTable(const ExpertsPlace& at, const nn::OptionTable& options, bool balanced);
    std::string scope() const override { return "hash"; }
    Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) override;
    double choices_per_row() const override { return static_cast<double>(k_); }
    double flops_per_row() const override { return 0; }
    nn::Size parameters() const override { return 0; }
    bool reads_token_ids() const override { return true; }

  private:
    nn::Size experts_, vocab_, k_;
    nn::State table_;
};

// The k experts of every id, all different, by row.
//
// Balanced: ids are dealt round robin in order of falling `counts` where those are known, else in order of the ids. In round r, the dealing
// of E ids, choice j of the p-th id goes to expert (p + shift) mod E; a round's k shifts are different numbers drawn from the seed, the
// first 0. So every expert gets the same number of ids (one more or less in the last round), whatever k, and neighbours of one round share
// no expert order with those of the next.
std::vector<double> balanced_table(nn::Size vocab, nn::Size k, nn::Size experts, const std::vector<std::int64_t>& counts,
                                   std::uint64_t seed);
// Random: k different experts for every id, each such set equally likely.
std::vector<double> random_table(nn::Size vocab, nn::Size k, nn::Size experts, std::uint64_t seed);

}  // namespace moe
