#pragma once
#include "moe/selectors/router.h"

namespace moe {

// The k largest of logits with learned noise, x·router.w + ν·softplus(x·router.noise_w); without noise in evaluation or by `noise = false`.
class NoisyTopExperts final : public Router {
  public:
    NoisyTopExperts(const ExpertsPlace& at, const nn::OptionTable& options);
    Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) override;
    double flops_per_row() const override { return 2 * Router::flops_per_row(); }
    nn::Size parameters() const override { return 2 * Router::parameters(); }

  private:
    bool noise_;
    nn::Parameter noise_w_;
};

}  // namespace moe
