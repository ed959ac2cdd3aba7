#pragma once
#include "moe/initial_values.h"
#include "moe/ops/picks.h"
#include "moe/ops/weight_share.h"
#include "nn/feed_forward.h"
#include "nn/options.h"

#include <memory>

namespace moe {

// Which experts each row goes to, and what gates and balances are functions of.
struct Selection {
    ops::Picks picks;
    nn::Var logits_NE = {};                           // Sum dtype; undefined where nothing is a function of them
    std::shared_ptr<ops::WeightShare> w1_share = {};  // where the selector has a gradient of w1 of its own
    nn::Var gates_NK = {};                            // where the selector makes the gates
    engine::Tensor rows_ES = {}, gates_ES = {};       // nn::Routing's, where experts choose
};

// The experts that a selector picks from.
struct ExpertsPlace {
    nn::LayerPlace place;
    nn::Size experts, cells;
    ExpertInitials initials;
};

// S of a method: a module whose parameters and states bear its name ("router.w", "hash.table").
class ExpertSelector : public nn::Module {
  public:
    virtual std::string scope() const { return "router"; }
    // x (N,C); w1 (E,C,G) for selectors that score by the experts' own keys.
    virtual Selection select(engine::Tape& tape, const nn::Var& x_NC, const nn::Var& w1_ECG, const nn::RowContext& context) = 0;
    // Experts a row, for the count of FLOPs and active parameters.
    virtual double choices_per_row() const = 0;
    // 2 per multiply-add, forward; and the selector's parameters, all of them active.
    virtual double flops_per_row() const = 0;
    virtual nn::Size parameters() const = 0;
    virtual bool reads_token_ids() const { return false; }
    virtual bool mixes_positions() const { return false; }
    virtual std::string refuses_decoding() const { return ""; }
};

// k, between 1 and n_experts; a method of fixed k takes it as `only`.
nn::Size read_k(const nn::OptionTable& options, nn::Size experts, std::optional<nn::Size> otherwise = {},
                std::optional<nn::Size> only = {});

}  // namespace moe
