#pragma once
#include "moe/selectors/router.h"

namespace moe {

// BASE: in training the balanced assignment of the whole pass, all ranks, with the largest sum of logits; in evaluation the largest logit.
class BalancedExperts final : public Router {
  public:
    BalancedExperts(const ExpertsPlace& at, const nn::OptionTable& options);
    Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) override;
};

}  // namespace moe
