#pragma once
#include "moe/selectors/selector.h"

namespace moe {

// Experts by a fixed table of token ids (Roller 2021; RandHash of Liu 2023): state hash.table (vocab,K) int32, no router, no gradient.
class TokenTable final : public ExpertSelector {
  public:
    // `balanced`: experts have equal shares of the text, else the k experts of an id are drawn at random.
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
// Balanced: one id after another, the most frequent first, takes the k experts with the least text so far, ties in an order drawn for the
// id from the seed (Roller 2021, sec. 3.2). Without counts every id counts as one, so experts get as many ids, one more or less.
std::vector<double> balanced_table(nn::Size vocab, nn::Size k, nn::Size experts, const std::vector<std::int64_t>& counts,
                                   std::uint64_t seed);
// Random: k different experts for every id, each such set equally likely.
std::vector<double> random_table(nn::Size vocab, nn::Size k, nn::Size experts, std::uint64_t seed);

}  // namespace moe
