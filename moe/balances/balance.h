#pragma once
#include "moe/kernels/biased_scores.h"
#include "moe/selectors/selector.h"

namespace moe {

// What keeps the choices spread: losses on a selection.
class BalanceLoss {
  public:
    BalanceLoss() = default;
    virtual ~BalanceLoss() = default;
    BalanceLoss(const BalanceLoss&) = delete;
    BalanceLoss& operator=(const BalanceLoss&) = delete;
    // Appends its losses, each seeding its own gradient.
    virtual void add_to(std::vector<nn::NamedLoss>& losses, engine::Tape& tape, const Selection& selection, const nn::Var& gates_NK,
                        const nn::RowContext& context) = 0;
};

// Σ p ln p of the mean softmax ("entropy").
class EntropyLoss final : public BalanceLoss {
  public:
    explicit EntropyLoss(const nn::OptionTable& options);
    void add_to(std::vector<nn::NamedLoss>& losses, engine::Tape& tape, const Selection& selection, const nn::Var& gates_NK,
                const nn::RowContext& context) override;

  private:
    double weight_;
};

// E·Σ f·P of the first choices ("balance"; its released scale is 1/E² of that), and the mean of logsumexp² ("z").
class FractionMeanLoss final : public BalanceLoss {
  public:
    // `scales`: the option balance_scale exists.
    FractionMeanLoss(const nn::OptionTable& options, nn::Size experts, bool scales);
    void add_to(std::vector<nn::NamedLoss>& losses, engine::Tape& tape, const Selection& selection, const nn::Var& gates_NK,
                const nn::RowContext& context) override;

  private:
    double weight_, scale_, z_weight_;
};

// CV² of the experts' summed gates ("cv").
class GateVariationLoss final : public BalanceLoss {
  public:
    GateVariationLoss(const nn::OptionTable& options, nn::Size experts);
    void add_to(std::vector<nn::NamedLoss>& losses, engine::Tape& tape, const Selection& selection, const nn::Var& gates_NK,
                const nn::RowContext& context) override;

  private:
    double weight_;
    nn::Size experts_;
};

// Σ f·P of every sequence, all k choices ("balance").
class SequenceLoss final : public BalanceLoss {
  public:
    explicit SequenceLoss(const nn::OptionTable& options);
    void add_to(std::vector<nn::NamedLoss>& losses, engine::Tape& tape, const Selection& selection, const nn::Var& gates_NK,
                const nn::RowContext& context) override;

  private:
    double weight_;
    kernels::Score score_;
};

}  // namespace moe
