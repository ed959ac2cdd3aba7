#pragma once
#include "moe/ops/sinkhorn.h"
#include "moe/selectors/router.h"

namespace moe {

// S-BASE: in training the k largest of a Sinkhorn plan over the pass, or over each sequence; in evaluation the k largest logits.
class SinkhornExperts final : public Router {
  public:
    SinkhornExperts(const ExpertsPlace& at, const nn::OptionTable& options);
    Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) override;
    bool mixes_positions() const override { return by_sequence_; }

  private:
    ops::SinkhornRule rule_;
    bool by_sequence_;
};

}  // namespace moe
