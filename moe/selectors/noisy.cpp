#include "moe/selectors/noisy.h"

#include "engine/ops/linear.h"
#include "moe/ops/noisy_logits.h"
#include "moe/ops/top_ids.h"
#include "nn/random_sites.h"

namespace moe {

using namespace engine;

NoisyTopExperts::NoisyTopExperts(const ExpertsPlace& at, const nn::OptionTable& options) : Router(at), noise_(options.flag("noise", true)) {
    k_ = read_k(options, experts_);
    add(noise_w_, "noise_w", {channels_, experts_}, at.initials.router);
}

Selection NoisyTopExperts::select(Tape& tape, const Var& x_NC, const Var&, const nn::RowContext&) {
    Var logits_NE = logits(tape, x_NC);
    if (noise_ && tape.training()) {
        Var deviations_NE = engine::ops::linear_wide(tape, x_NC, noise_w_.var);
        logits_NE = ops::noisy_logits(tape, logits_NE, deviations_NE, nn::random_site(layer_, nn::Purpose::router_noise));
    }
    return {ops::top_ids(tape.exec(), logits_NE.value(), k_), logits_NE};
}

}  // namespace moe
