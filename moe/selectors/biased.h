#pragma once
#include "moe/kernels/biased_scores.h"
#include "moe/selectors/router.h"

namespace moe {

// DeepSeek-V3: the k largest of score + router.bias in the best groups. The bias (E) has no gradient: a training pass moves it by
// bias_rate·sign(fair share − count), counts over the whole pass and over all passes of a step.
class BiasedGroups final : public Router {
  public:
    BiasedGroups(const ExpertsPlace& at, const nn::OptionTable& options);
    Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) override;

  private:
    void move_bias(engine::Exec& exec, const ops::Picks& picks);

    kernels::GroupRule rule_;
    double rate_;
    nn::State bias_;
};

kernels::Score read_score(const nn::OptionTable& options);

}  // namespace moe
