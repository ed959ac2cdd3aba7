#pragma once
#include "apps/config.h"
#include "nn/language_model.h"

#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace apps {

// What a run would take. Nothing of it is run: the memory is that of one step on the dry device (docs/adr/0003).
struct Plan {
    Size parameters = 0, active_parameters = 0;
    std::map<std::string, Size> parameters_by_part;  // embedding, attention, ffn, norm, head
    nn::FeedForward::Flops flops_per_token;          // forward, 2 per multiply-add, visible pairs only
    Size tokens_per_step = 0;
    Size tokens_per_rank = 0;  // of them, the busiest rank's
    // Bytes by kind, per rank: parameters, gradients, optimizer, activations (what a step holds at its peak beside the others).
    std::map<std::string, Size> memory_bytes;
    // Bytes that leave a rank in a step: gradients, gathers (of parameters, of a pass's statistics and choices).
    std::map<std::string, Size> communication_bytes;
    std::map<std::string, Size> communication_calls;  // of the same kinds
    Size memory_total() const;
};

Plan make_plan(const Config& config, Size vocab);
// The same without its memory and tokens: no step is run.
Plan count_model(const Config& config, Size vocab);
// The keys of `plan --json`.
nlohmann::ordered_json plan_json(const Plan& plan);
std::string plan_text(const Plan& plan);

}  // namespace apps
