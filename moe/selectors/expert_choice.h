#pragma once
#include "moe/selectors/router.h"

namespace moe {

// Expert choice: every expert takes the rows of the pass that it likes best, weighted by their probability. Later rows take the places of
// earlier ones, in training and in evaluation.
class ExpertsChoose final : public Router {
  public:
    ExpertsChoose(const ExpertsPlace& at, const nn::OptionTable& options);
    Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) override;
    double choices_per_row() const override;
    std::string refuses_decoding() const override;

  private:
    double capacity_;
    bool over_rows_;
};

}  // namespace moe
