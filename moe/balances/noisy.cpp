#include "moe/balances/balance.h"
#include "moe/ops/noisy_logits.h"

namespace moe {

GateVariationLoss::GateVariationLoss(const nn::OptionTable& options, nn::Size experts)
    : weight_(options.number("cv_weight", 0.0)), experts_(experts) {}

void GateVariationLoss::add_to(std::vector<nn::NamedLoss>& losses, engine::Tape& tape, const Selection& selection, const nn::Var& gates_NK,
                               const nn::RowContext& context) {
    losses.push_back({"cv", ops::gate_variation(tape, gates_NK, selection.picks.kept_NK, experts_, weight_ * context.loss_scale), weight_});
}

}  // namespace moe
