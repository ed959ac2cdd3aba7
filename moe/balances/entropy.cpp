#include "moe/ops/entropy.h"

#include "moe/balances/balance.h"

namespace moe {

EntropyLoss::EntropyLoss(const nn::OptionTable& options) : weight_(options.number("entropy_weight", 0.0)) {}

void EntropyLoss::add_to(std::vector<nn::NamedLoss>& losses, engine::Tape& tape, const Selection& selection, const nn::Var&,
                         const nn::RowContext& context) {
    losses.push_back({"entropy", ops::entropy_loss(tape, selection.logits_NE, weight_ * context.loss_scale), weight_});
}

}  // namespace moe
