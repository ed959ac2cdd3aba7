#include "moe/selectors/sinkhorn.h"

#include "engine/base/error.h"
#include "moe/ops/top_ids.h"

namespace moe {

using namespace engine;

SinkhornExperts::SinkhornExperts(const ExpertsPlace& at, const nn::OptionTable& options)
    : Router(at),
      rule_{static_cast<int>(options.size("sinkhorn_iterations", 3, 1, 100000)),
            options.word("sinkhorn", "correct", {"correct", "released"}) == "released"},
      by_sequence_(options.word("scope", "batch", {"batch", "sequence"}) == "sequence") {
    k_ = read_k(options, experts_);
}

Selection SinkhornExperts::select(Tape& tape, const Var& x_NC, const Var&, const nn::RowContext& context) {
    Var logits_NE = logits(tape, x_NC);
    if (!tape.training()) return {ops::top_ids(tape.exec(), logits_NE.value(), k_), logits_NE};
    ops::SinkhornRule rule = rule_;
    if (by_sequence_) {
        rule.group = context.sequence_length;
        expect(rule.group > 0, "s-base", "scope = \"sequence\" needs rows in sequences: got x {}, expected (B, T, C)", x_NC.shape().text());
    }
    return {ops::top_ids(tape.exec(), ops::sinkhorn_scores(tape.exec(), logits_NE.value(), rule), k_), logits_NE};
}

}  // namespace moe
