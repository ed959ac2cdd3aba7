#pragma once
#include "nn/feed_forward.h"
#include "nn/init.h"

namespace moe {

// How a method's experts and router begin.
enum class Start {
    sigma_moe,  // normal, variance 2/(depth·fan-in), fan-in of w2 = G·E ("standard": G); router columns of equal norm   sigma-moe.md 2.1
    fedus,      // truncated normal, variance 0.1/fan-in                                                        Fedus 2021, sec. 2.4
    shazeer,    // experts as sigma_moe; router and noise 0, so that noise alone spreads the first choices       Shazeer 2017, app. A
    lewis,      // router columns orthogonal, of norm 0.1; w2 = 0, so that the layer begins as nothing           Lewis 2021, released code
    deepseek,   // normal, deviation 0.006                                                                      Dai 2024, sec. 4.1
};

struct ExpertInitials {
    nn::Initial router, w1, w2;  // w3 begins as w1 does
};
// `paper`: false for σ-MoE's ablation "standard".
ExpertInitials expert_initials(Start start, bool paper, const nn::LayerPlace& place, nn::Size experts, nn::Size cells);

}  // namespace moe
