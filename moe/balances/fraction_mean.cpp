#include "moe/balances/balance.h"
#include "moe/ops/router_losses.h"

namespace moe {

using namespace engine;

FractionMeanLoss::FractionMeanLoss(const nn::OptionTable& options, Size experts, bool scales)
    : weight_(options.number("balance_weight", 0.0)), scale_(static_cast<double>(experts)), z_weight_(options.number("z_weight", 0.0)) {
    if (scales && options.word("balance_scale", "paper", {"paper", "released"}) == "released") scale_ = 1.0 / scale_;
}

void FractionMeanLoss::add_to(std::vector<nn::NamedLoss>& losses, Tape& tape, const Selection& selection, const Var&,
                              const nn::RowContext& context) {
    const Var& logits = selection.logits_NE;
    Tensor lse_N = ops::row_lse(tape.exec(), logits.value());
    losses.push_back(
        {"balance", ops::fraction_mean_loss(tape, logits, lse_N, selection.picks, scale_, weight_ * context.loss_scale), weight_});
    losses.push_back({"z", ops::z_loss(tape, logits, lse_N, z_weight_ * context.loss_scale), z_weight_});
}

}  // namespace moe
