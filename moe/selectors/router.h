#pragma once
#include "moe/selectors/selector.h"

namespace moe {

// What selectors with a linear router share: logits = x·router.w, in Sum dtype.
class Router : public ExpertSelector {
  public:
    explicit Router(const ExpertsPlace& at);
    double choices_per_row() const override { return static_cast<double>(k_); }
    double flops_per_row() const override { return 2.0 * static_cast<double>(channels_ * experts_); }
    nn::Size parameters() const override { return channels_ * experts_; }

  protected:
    nn::Var logits(engine::Tape& tape, const nn::Var& x_NC) const;
    nn::Size channels_, experts_, k_ = 1;
    int layer_;
    nn::Parameter w_;
};

// The k largest logits; `expert_dropout` and `capacity_factor` where the method has them.
class TopExperts final : public Router {
  public:
    struct Has {
        bool dropout, capacity;
        std::optional<nn::Size> default_k;
    };
    TopExperts(const ExpertsPlace& at, const nn::OptionTable& options, Has has);
    Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) override;

  private:
    float dropout_ = 0;
    double capacity_ = 0;
};

// GShard: the largest logit, then a second by `second` = all | sampling | random; with capacity.
class FirstAndSecond final : public Router {
  public:
    FirstAndSecond(const ExpertsPlace& at, const nn::OptionTable& options);
    Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) override;

  private:
    std::string second_;
    double capacity_;
};

}  // namespace moe
