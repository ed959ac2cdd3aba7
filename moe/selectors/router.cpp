#include "moe/selectors/router.h"

#include "engine/base/error.h"
#include "engine/ops/linear.h"
#include "moe/layer_options.h"
#include "moe/ops/capacity.h"
#include "moe/ops/second_choice.h"
#include "moe/ops/top_ids.h"
#include "nn/random_sites.h"

namespace moe {

using namespace engine;

Router::Router(const ExpertsPlace& at) : channels_(at.place.channels), experts_(at.experts), layer_(at.place.layer) {
    add(w_, "w", {channels_, experts_}, at.initials.router);
}

Var Router::logits(Tape& tape, const Var& x_NC) const { return engine::ops::linear_wide(tape, x_NC, w_.var); }

TopExperts::TopExperts(const ExpertsPlace& at, const nn::OptionTable& options, Has has) : Router(at) {
    k_ = read_k(options, experts_, has.default_k);
    if (has.dropout) dropout_ = read_dropout(options, "expert_dropout");
    if (has.capacity) capacity_ = read_capacity(options, 0);
}

Selection TopExperts::select(Tape& tape, const Var& x_NC, const Var&, const nn::RowContext&) {
    Var logits_NE = logits(tape, x_NC);
    ops::Picks picks = ops::top_ids(tape, logits_NE.value(), k_, dropout_, nn::random_site(layer_, nn::Purpose::expert_choice));
    if (capacity_ > 0) picks = ops::with_capacity(tape.exec(), picks, experts_, capacity_);
    return {picks, logits_NE};
}

FirstAndSecond::FirstAndSecond(const ExpertsPlace& at, const nn::OptionTable& options)
    : Router(at), second_(options.word("second", "all", {"all", "sampling", "random"})), capacity_(read_capacity(options, 0)) {
    k_ = read_k(options, experts_, {}, 2);
}

Selection FirstAndSecond::select(Tape& tape, const Var& x_NC, const Var&, const nn::RowContext&) {
    using kernels::Second;
    Var logits_NE = logits(tape, x_NC);
    Second second = second_ == "sampling" ? Second::sampling : second_ == "random" ? Second::random : Second::all;
    ops::Picks picks = ops::second_choice(tape, logits_NE.value(), second, nn::random_site(layer_, nn::Purpose::router_noise));
    if (capacity_ > 0) picks = ops::with_capacity(tape.exec(), picks, experts_, capacity_);
    return {picks, logits_NE};
}

}  // namespace moe
