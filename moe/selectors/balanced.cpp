#include "moe/selectors/balanced.h"

#include "moe/ops/balanced_assignment.h"
#include "moe/ops/top_ids.h"

namespace moe {

using namespace engine;

BalancedExperts::BalancedExperts(const ExpertsPlace& at, const nn::OptionTable& options) : Router(at) {
    k_ = read_k(options, experts_, {}, 1);
}

Selection BalancedExperts::select(Tape& tape, const Var& x_NC, const Var&, const nn::RowContext&) {
    Var logits_NE = logits(tape, x_NC);
    if (!tape.training()) return {ops::top_ids(tape.exec(), logits_NE.value(), 1), logits_NE};
    return {ops::balanced_assignment(tape.exec(), logits_NE.value()), logits_NE};
}

}  // namespace moe
