#include "apps/training_run.h"

#include "apps/elapsed.h"
#include "apps/evaluate.h"
#include "apps/generation.h"
#include "apps/model_factory.h"
#include "apps/rank_check.h"
#include "apps/routing_metrics.h"
#include "apps/sharing.h"
#include "apps/signals.h"
#include "apps/token_counts.h"
#include "engine/base/error.h"
#include "engine/comm/shares.h"
#include "engine/io/atomic_file.h"
#include "engine/io/manifest.h"
#include "engine/tensor/transfer.h"

#include <cmath>

namespace apps {

using namespace engine;
using Clock = std::chrono::steady_clock;

namespace {

Tensor uploaded(const Exec& exec, const std::vector<std::int32_t>& ids, Size sequences, Size context) {
    return from_host(exec, {sequences, context}, Dtype::i32, ids);
}

// The first positions of every row carry no loss.
void hide_prefix(data::Window& window, Size prefix) {
    for (Size row = 0; row < window.rows; ++row) std::fill_n(window.targets.begin() + row * window.columns, prefix, -1);
}

// Tells other tokens from the same.
std::string fingerprint(const data::TokenStore& store) {
    return fmt::format("{:016x}", io::fnv1a(io::read_file(store.folder() / "manifest.json")));
}

// Every rank's rows, on the host.
template <class T>
std::vector<T> all_rows(Exec& exec, const Tensor& part) {
    if (exec.communicator == nullptr) return to_host<T>(exec, part);
    Tensor rows = part.reshaped({part.shape().rows(), part.shape().columns()});
    Tensor whole(exec, {rows_of_pass(exec, rows.size(0)), rows.size(1)}, part.dtype());
    gather_shares(exec, whole, rows);
    return to_host<T>(exec, whole);
}

nn::LanguageModel& checked(const Config& config, nn::LanguageModel& model, int ranks) {
    check_sharing(config, model, ranks);
    return model;
}

}  // namespace

TrainingRun::TrainingRun(const Config& config, const RunFolder& folder, const data::TokenStore& store, Exec exec,
                         const std::optional<fs::path>& init_from)
    : config_(config),
      folder_(folder),
      data_(store),
      exec_(exec),
      layout_(step_layout(config, rank_of(exec), rank_count(exec))),
      streams_(store.split("train"), *config.train.batch, layout_.context),
      saved_step_(folder.latest()),
      model_(make_model(config, vocab_of(config, store.vocab()),
                        saved_step_ ? std::vector<std::int64_t>() : token_counts(config, store, vocab_of(config, store.vocab())))),
      parameters_(std::make_unique<nn::ParameterStore>(
          exec_, checked(config, *model_, layout_.ranks), dtype_named(config.train.dtype), config.top.seed, true,
          saved_step_ ? nn::ParameterStore::Values::loaded : nn::ParameterStore::Values::initial, cut_of(config))),
      trainer_(
          std::make_unique<nn::Trainer>(exec_, *model_, *parameters_, optimizer_options(config), layout_.passes, reduction_of(config))),
      memories_(static_cast<std::size_t>(layout_.passes)) {
    exec_.shards = layout_.shards_of_pass(0);
    for (nn::ModelMemory& memory : memories_) memory.limit = training_memory(config);
    schedule_ = {.kind = nn::parse_schedule(config.train.schedule), .peak = config.train.lr, .warmup = config.train.warmup};
    if (saved_step_) {
        go_on(*saved_step_);
    } else {
        start(init_from);
    }
    schedule_.horizon = state_.schedule_steps;
    first_step_ = state_.step;
    if (!is_first()) return;
    fs::create_directories(folder.checkpoints());
    io::remove_partials(folder.path());
    io::remove_partials(folder.checkpoints());
    metrics_ = std::make_unique<MetricsLog>(folder.metrics(), state_.step);
    routing_ = std::make_unique<MetricsLog>(folder.routing(), state_.step);
    if (config.train.tensorboard) events_ = std::make_unique<EventFile>(folder.path());
    progress_ = std::make_unique<Progress>(folder.name(), *config.train.steps);
}

fs::path checkpoint_of(const fs::path& init_from) {
    RunFolder other(init_from);
    std::optional<std::int64_t> step = other.latest();
    expect(step.has_value(), "train", "--init-from names no run with a checkpoint: got {}; hint: the folder of a run that has saved",
           init_from.string());
    return other.checkpoint(*step);
}

void TrainingRun::start(const std::optional<fs::path>& init_from) {
    state_.schedule_steps = config_.train.schedule_steps.value_or(std::max<Size>(1, *config_.train.steps - config_.train.warmup));
    state_.data = fingerprint(data_);
    if (!init_from) return;
    fs::path other = checkpoint_of(*init_from);
    read_state(exec_, other);
    std::string taken = load_matching_weights(exec_, other, *parameters_);
    if (is_first()) fmt::print(stderr, "{}\n", taken);
}

void TrainingRun::go_on(std::int64_t step) {
    fs::path checkpoint = folder_.checkpoint(step);
    state_ = read_state(exec_, checkpoint);
    expect(state_.data == fingerprint(data_), "train", "the data changed since the run began: {} has fingerprint {}, the run has {}",
           config_.data.path, fingerprint(data_), state_.data);
    load_weights(exec_, checkpoint, *parameters_);
    load_progress(exec_, checkpoint, *parameters_, memories_);
}

void TrainingRun::run_step(bool logs) {
    trainer_->begin(config_.top.seed, state_.step, schedule_.at(state_.step));
    Size scored = layout_.step_tokens() / layout_.context * (layout_.context - model_->prefix());
    for (int pass = 0; pass < layout_.passes; ++pass) {
        nn::ModelMemory& memory = memories_[static_cast<std::size_t>(pass)];
        data::Window window = streams_.at(state_.step, layout_.first_sequence(pass), layout_.sequences);
        if (window.restarts) memory.clear();
        hide_prefix(window, model_->prefix());
        exec_.shards = layout_.shards_of_pass(pass);
        std::vector<nn::LayerReport> reports =
            trainer_->pass(uploaded(exec_, window.ids, layout_.sequences, layout_.context),
                           uploaded(exec_, window.targets, layout_.sequences, layout_.context), memory, scored);
        if (logs) std::move(reports.begin(), reports.end(), std::back_inserter(reports_));
    }
    trainer_->finish();
    state_.step += 1;
    state_.tokens += layout_.step_tokens();
}

void TrainingRun::log_step() {
    nn::StepReport report = trainer_->read();
    if (!std::isfinite(report.loss)) {
        throw Diverged(fmt::format("[train] the loss is not finite at step {}: got {}; hint: a lower train.lr or a train.clip", state_.step,
                                   report.loss));
    }
    log_routing();
    if (!is_first()) return;
    double seconds = state_.seconds + seconds_since(begin_);
    double rate = static_cast<double>(state_.tokens - last_log_tokens_) / std::max(1e-9, seconds - last_log_seconds_);
    nlohmann::ordered_json record{{"step", state_.step}, {"tokens", state_.tokens}, {"seconds", seconds}, {"loss", report.loss}};
    for (const auto& [name, value] : report.balance) record["balance." + name] = value;
    record["lr"] = schedule_.at(state_.step - 1);
    record["grad_norm"] = report.gradient_norm;
    record["tokens_per_second"] = rate;
    metrics_->write(record);
    if (events_) {
        std::map<std::string, double> scalars;
        for (const auto& [name, value] : record.items()) scalars[name] = value;
        events_->write(state_.step, scalars);
    }
    double left =
        static_cast<double>(*config_.train.steps - state_.step) * seconds_since(begin_) / static_cast<double>(state_.step - first_step_);
    progress_->show(state_.step, report.loss, rate, left);
    last_log_seconds_ = seconds;
    last_log_tokens_ = state_.tokens;
}

void TrainingRun::log_routing() {
    std::map<int, RoutingCounts> layers;
    for (const nn::LayerReport& report : reports_) {
        RoutingShape shape = routing_shape(report.routing, layout_.context);
        if (shape.cells == 0) continue;
        std::vector<std::int32_t> ids = all_rows<std::int32_t>(exec_, report.routing.ids);
        std::vector<double> gates = all_rows<double>(exec_, report.routing.gates);
        if (is_first()) layers.try_emplace(report.layer, shape).first->second.add(ids, gates);
    }
    for (const auto& [layer, counts] : layers) routing_->write(routing_record(state_.step, layer, routing_metrics(counts)));
    reports_.clear();
}

// The first rank alone, while the others wait; where ranks share parameters, all of them, each with all rows.
void TrainingRun::evaluate() {
    if (!is_first() && exec_.sharing.ranks == nullptr) return;
    Clock::time_point pause = Clock::now();
    Evaluation evaluation = apps::evaluate(exec_, *model_, data_, "valid", evaluation_options(config_));
    std::string sample = sample_text(exec_, *model_, data_, config_);
    if (!is_first()) return;
    metrics_->write({{"step", state_.step}, {"eval", evaluation_json(evaluation)}});
    if (events_) events_->write(state_.step, {{"valid.bits_per_byte", evaluation.bits_per_byte()}});
    if (!sample.empty()) {
        fs::create_directories(folder_.samples());
        io::write_file(folder_.samples() / fmt::format("step-{}.txt", state_.step), sample);
    }
    // Only training counts as time spent training.
    begin_ += Clock::now() - pause;
    progress_->show_evaluation(state_.step, evaluation.bits_per_byte());
}

void TrainingRun::save() {
    if (saved_step_ == state_.step) return;
    TrainingState state = state_;
    state.seconds += seconds_since(begin_);
    if (is_first()) {
        metrics_->sync();
        routing_->sync();
    }
    save_checkpoint(exec_, folder_.checkpoint(state_.step), *parameters_, memories_, state);
    saved_step_ = state_.step;
    if (!is_first()) return;
    folder_.set_latest(state_.step);
    folder_.prune(config_.train.keep);
}

bool TrainingRun::must_stop(const StopRules& rules) const {
    bool here = stop_was_asked() || (rules.at_step && state_.step >= *rules.at_step) ||
                (rules.after_seconds && seconds_since(begin_) >= *rules.after_seconds);
    return exec_.communicator != nullptr ? exec_.communicator->any(here) : here;
}

Outcome TrainingRun::train(const StopRules& rules) {
    const Config::Train& t = config_.train;
    auto due = [&](Size every) { return every > 0 && state_.step % every == 0; };
    begin_ = Clock::now();
    last_log_seconds_ = state_.seconds;
    last_log_tokens_ = state_.tokens;
    Outcome outcome = Outcome::finished;
    while (state_.step < *t.steps) {
        if (must_stop(rules)) {
            outcome = Outcome::stopped;
            break;
        }
        run_step((state_.step + 1) % t.log_every == 0);
        drill_fault(exec_, *parameters_, state_.step);
        if (due(rules.check_ranks)) check_equal_weights(exec_, *parameters_, state_.step);
        if (due(t.log_every)) log_step();
        if (due(t.eval_every)) evaluate();
        if (due(t.save_every)) save();
    }
    save();
    if (progress_) progress_->end();
    return outcome;
}

}  // namespace apps
