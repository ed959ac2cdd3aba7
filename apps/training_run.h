#pragma once
#include "apps/checkpoint.h"
#include "apps/event_file.h"
#include "apps/metrics_log.h"
#include "apps/progress.h"
#include "apps/run_folder.h"
#include "apps/step_layout.h"
#include "data/streams.h"
#include "data/token_store.h"
#include "engine/base/error.h"
#include "nn/schedule.h"
#include "nn/trainer.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace apps {

// When a run ends before its last step.
struct StopRules {
    std::optional<std::int64_t> at_step;
    std::optional<double> after_seconds;  // of this process
    std::int64_t check_ranks = 0;         // every so many steps the ranks compare their weights; 0: never
};

// The latest checkpoint of a run whose weights another one takes; throws where there is none.
fs::path checkpoint_of(const fs::path& init_from);

enum class Outcome { finished, stopped };

// The loss is no number any more; going on would not mend it.
class Diverged : public engine::Error {
  public:
    using Error::Error;
};

// One rank of a training run: everything that a step needs, and the loop around it. The first rank writes the run's folder.
class TrainingRun {
  public:
    // Goes on from the folder's latest checkpoint, or starts; `init_from` names a run whose weights are taken then.
    TrainingRun(const Config& config, const RunFolder& folder, const data::TokenStore& store, engine::Exec exec,
                const std::optional<fs::path>& init_from);

    std::int64_t step() const { return state_.step; }
    Outcome train(const StopRules& rules);

  private:
    bool is_first() const { return layout_.rank == 0; }
    void start(const std::optional<fs::path>& init_from);
    void go_on(std::int64_t step);
    void run_step(bool logs);
    void log_step();
    void log_routing();
    void evaluate();
    void save();
    bool must_stop(const StopRules& rules) const;

    const Config& config_;
    const RunFolder& folder_;
    const data::TokenStore& data_;
    engine::Exec exec_;
    StepLayout layout_;
    data::TrainingStreams streams_;
    std::optional<std::int64_t> saved_step_;  // of the latest checkpoint
    std::unique_ptr<nn::LanguageModel> model_;
    std::unique_ptr<nn::ParameterStore> parameters_;
    std::unique_ptr<nn::Trainer> trainer_;
    std::vector<nn::ModelMemory> memories_;
    nn::Schedule schedule_;
    TrainingState state_;
    std::vector<nn::LayerReport> reports_;  // of a logged step, pass after pass
    std::unique_ptr<MetricsLog> metrics_, routing_;
    std::unique_ptr<EventFile> events_;
    std::unique_ptr<Progress> progress_;
    std::chrono::steady_clock::time_point begin_;
    std::int64_t first_step_ = 0;  // of this process
    double last_log_seconds_ = 0;
    std::int64_t last_log_tokens_ = 0;
};

}  // namespace apps
