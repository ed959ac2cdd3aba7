#pragma once
#include "moe/kernels/block_score.h"
#include "moe/selectors/selector.h"

namespace moe {

// Selectors that score blocks by the blocks' own keys and have no parameters.
class KeySelector : public ExpertSelector {
  public:
    KeySelector(const ExpertsPlace& at, const nn::OptionTable& options);
    double choices_per_row() const override { return static_cast<double>(k_); }
    nn::Size parameters() const override { return 0; }

  protected:
    nn::Size channels_, experts_, cells_, k_;
};

// Avg-K: x·mean of a block's keys. `scored`: gates are functions of the score, which then has a gradient.
class MeanKeys final : public KeySelector {
  public:
    MeanKeys(const ExpertsPlace& at, const nn::OptionTable& options, bool scored) : KeySelector(at, options), scored_(scored) {}
    Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) override;
    // The means themselves, C·E·G additions, are formed once a pass.
    double flops_per_row() const override { return 2.0 * static_cast<double>(channels_ * experts_); }

  private:
    bool scored_;
};

// VanillaM: every cell is scored, a block by the mean, sum or mean of absolute values of its cells, before or after the activation.
class CellKeys final : public KeySelector {
  public:
    CellKeys(const ExpertsPlace& at, const nn::OptionTable& options);
    Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) override;
    double flops_per_row() const override { return 2.0 * static_cast<double>(channels_ * experts_ * cells_); }

  private:
    kernels::Reduce reduce_;
    engine::kernels::Activation activation_;
};

}  // namespace moe
