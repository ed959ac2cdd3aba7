#pragma once
#include "engine/comm/pair_capacities.h"
#include "nn/gradient_sums.h"
#include "nn/language_model.h"
#include "nn/optimizer.h"
#include "nn/parameter_store.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace nn {

// What a step leaves for the log. On the device until `read`.
struct StepReport {
    double loss = 0;                        // cross-entropy in nats, mean over the step's tokens
    double gradient_norm = 0;               // before clipping
    std::map<std::string, double> balance;  // unweighted, summed over layers, mean over passes
};

// One training step (PROGRAMS, "A step"): accumulate passes of forward, backward and reduction, then clip and update.
// A rank calls begin, pass × accumulate, finish; every rank the same.
class Trainer {
  public:
    // `batch` sequences of the whole step over all ranks.
    Trainer(engine::Exec& exec, LanguageModel& model, ParameterStore& store, const OptimizerOptions& options, int accumulate,
            Reduction reduction = Reduction::exact);

    void begin(std::uint64_t seed, std::int64_t step, double learning_rate);
    // ids, targets (B,T) int32 of this rank's sequences; the step has `step_tokens` scored tokens over all ranks and passes.
    // Returns what the layers report: losses and routing of this pass. Where ranks share experts on a GPU, the host waits for the forward
    // pass, with the backward pass before it still to be run, and rarely runs a pass twice (engine/comm/pair_capacities.h).
    std::vector<LayerReport> pass(const Tensor& ids_BT, const Tensor& targets_BT, ModelMemory& memory, Size step_tokens);
    void finish();
    // Waits for the device.
    StepReport read();
    // Passes that were run twice, so far.
    int repeated_passes() const { return capacities_ ? capacities_->misfits() : 0; }

  private:
    ModelResult forward(engine::Tape& tape, const Tensor& ids_BT, ModelMemory& memory);

    engine::Exec& exec_;
    LanguageModel& model_;
    ParameterStore& store_;
    Optimizer optimizer_;
    int accumulate_;
    GradientSums sums_;
    std::unique_ptr<engine::PairCapacities> capacities_;  // null: the host reads counts
    int passes_ = 0;
    Tensor accumulated_;
    std::vector<Tensor> pass_losses_;  // (shards of the pass) each
    Size step_tokens_ = 0;
    std::vector<NamedLoss> balance_;
};

}  // namespace nn
