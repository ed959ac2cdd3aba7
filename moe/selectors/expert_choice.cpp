#include "moe/selectors/expert_choice.h"

#include "moe/ops/expert_choice.h"
#include "moe/ops/whole_pass.h"

#include <algorithm>

namespace moe {

using namespace engine;

ExpertsChoose::ExpertsChoose(const ExpertsPlace& at, const nn::OptionTable& options)
    : Router(at),
      capacity_(options.number("capacity_factor", 2.0, 1e-6, 1e6)),
      over_rows_(options.word("softmax_over", "experts", {"experts", "tokens"}) == "tokens") {}

double ExpertsChoose::choices_per_row() const { return std::min(capacity_, static_cast<double>(experts_)); }

std::string ExpertsChoose::refuses_decoding() const {
    return "expert-choice cannot write token by token: its experts choose among all tokens of a pass, later ones included; "
           "hint: `moegrad eval` scores whole texts";
}

Selection ExpertsChoose::select(Tape& tape, const Var& x_NC, const Var&, const nn::RowContext&) {
    Var logits_NE = logits(tape, x_NC);
    ops::ExpertChoice choice = ops::expert_choice(tape, logits_NE, capacity_, over_rows_);
    return {
        .picks = choice.picks, .logits_NE = logits_NE, .gates_NK = choice.gates_NE, .rows_ES = choice.rows_ES, .gates_ES = choice.gates_ES};
}

}  // namespace moe
