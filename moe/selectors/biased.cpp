#include "moe/selectors/biased.h"

#include "engine/base/error.h"
#include "engine/base/visit.h"
#include "engine/kernels/elementwise.h"
#include "moe/ops/biased_picks.h"
#include "moe/ops/whole_pass.h"

#include <algorithm>

namespace moe {

using namespace engine;

namespace {

// The divisor of `number` that lies nearest to `wanted`, and is at most `most`.
Size nearest_divisor(Size number, Size wanted, Size most) {
    Size best = 1;
    for (Size d = 1; d <= std::min(number, most); ++d) {
        if (number % d == 0 && std::abs(d - wanted) <= std::abs(best - wanted)) best = d;
    }
    return best;
}

}  // namespace

kernels::Score read_score(const nn::OptionTable& options) {
    return options.word("score", "softmax", {"softmax", "sigmoid"}) == "softmax" ? kernels::Score::softmax : kernels::Score::sigmoid;
}

BiasedGroups::BiasedGroups(const ExpertsPlace& at, const nn::OptionTable& options)
    : Router(at), rate_(options.number("bias_rate", 0.0, 0.0, 1e6)) {
    k_ = read_k(options, experts_);
    rule_.score = read_score(options);
    rule_.groups = options.size("n_groups", 1);
    const std::string& where = options.where();
    expect(experts_ % rule_.groups == 0 && rule_.groups <= kernels::kMostGroups, where,
           "n_groups must divide n_experts and be at most {}: got n_groups = {}, n_experts = {}; hint: set {}.n_groups = {}",
           kernels::kMostGroups, rule_.groups, experts_, where, nearest_divisor(experts_, rule_.groups, kernels::kMostGroups));
    rule_.kept = options.size("topk_groups", rule_.groups == 1 ? std::optional<Size>(1) : std::nullopt);
    expect(rule_.kept <= rule_.groups, where,
           "topk_groups must be between 1 and n_groups: got topk_groups = {}, n_groups = {}; hint: set {}.topk_groups = {}", rule_.kept,
           rule_.groups, where, rule_.groups);
    Size open = rule_.kept * (experts_ / rule_.groups);
    expect(k_ <= open, where,
           "k must be between 1 and the experts of the open groups: got k = {}, topk_groups·n_experts/n_groups = {}; hint: set {}.k = {}",
           k_, open, where, open);
    add(bias_, "bias", {experts_}, Dtype::f32, nn::constant(0));
}

Selection BiasedGroups::select(Tape& tape, const Var& x_NC, const Var&, const nn::RowContext&) {
    Var logits_NE = logits(tape, x_NC);
    ops::Picks picks = ops::biased_picks(tape.exec(), logits_NE.value(), bias_.value, rule_, k_);
    if (tape.training()) move_bias(tape.exec(), picks);
    return {picks, logits_NE};
}

void BiasedGroups::move_bias(Exec& exec, const ops::Picks& picks) {
    Tensor counts_E = ops::choice_counts(exec, picks, experts_, bias_.value.dtype());
    double rows = static_cast<double>(rows_of_pass(exec, picks.ids_NK.size(0)));
    if (bias_.next.defined()) {  // an earlier pass of the same step
        visit(exec, counts_E.dtype(),
              [&]<class D, class T>(On<D, T>) { engine::kernels::add_into<D, T>(exec, counts_E.rows<T>(), bias_.sums.rows<T>()); });
        rows += bias_.rows;
    }
    bias_.sums = counts_E;
    bias_.rows = rows;
    bias_.next = ops::moved_bias(exec, bias_.value, counts_E, rows * static_cast<double>(k_) / static_cast<double>(experts_), rate_);
}

}  // namespace moe
