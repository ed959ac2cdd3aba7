#include "moe/balances/balance.h"
#include "moe/ops/biased_picks.h"
#include "moe/selectors/biased.h"

namespace moe {

SequenceLoss::SequenceLoss(const nn::OptionTable& options) : weight_(options.number("balance_weight", 0.0)), score_(read_score(options)) {}

void SequenceLoss::add_to(std::vector<nn::NamedLoss>& losses, engine::Tape& tape, const Selection& selection, const nn::Var&,
                          const nn::RowContext& context) {
    losses.push_back({"balance",
                      ops::sequence_balance_loss(tape, selection.logits_NE, selection.picks, score_, context.sequence_length,
                                                 weight_ * context.loss_scale),
                      weight_});
}

}  // namespace moe
