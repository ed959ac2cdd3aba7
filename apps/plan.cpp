#include "apps/plan.h"

#include "apps/byte_progress.h"
#include "apps/command.h"
#include "apps/model_factory.h"
#include "apps/option_checks.h"
#include "apps/plan_times.h"
#include "apps/progress.h"
#include "apps/sharing.h"
#include "apps/step_layout.h"
#include "data/token_store.h"
#include "engine/base/error.h"
#include "engine/comm/traffic.h"
#include "engine/memory/pool.h"
#include "nn/parameter_store.h"
#include "nn/trainer.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

namespace apps {

using namespace engine;

namespace {

// "blocks.3.ffn.experts.w1" → "ffn", "embedding.w" → "embedding", "blocks.0.norm1.weight" → "norm".
std::string part_of(const std::string& name) {
    std::size_t begin = 0;
    if (name.starts_with("blocks.")) begin = name.find('.', 7) + 1;
    std::string part = name.substr(begin, name.find('.', begin) - begin);
    return part.starts_with("norm") ? "norm" : part;
}

Plan counted(const Config& config, nn::LanguageModel& model) {
    Plan plan;
    std::vector<nn::Parameter*> parameters;
    std::vector<nn::State*> states;
    model.collect("", parameters, states);
    for (const nn::Parameter* parameter : parameters) {
        plan.parameters += parameter->shape.elements();
        plan.parameters_by_part[part_of(parameter->name)] += parameter->shape.elements();
    }
    plan.active_parameters = model.active_parameters();
    plan.flops_per_token = model.flops_per_token(context_of(config), training_memory(config));
    return plan;
}

// The first of those with the most sequences.
int busiest_rank(const Config& config, int ranks) {
    int busiest = 0;
    for (int rank = 1; rank < ranks; ++rank) {
        if (step_layout(config, rank, ranks).sequences > step_layout(config, busiest, ranks).sequences) busiest = rank;
    }
    return busiest;
}

// One whole step on a device that only counts.
void measure_step(const Config& config, nn::LanguageModel& model, Pool& pool, Plan& plan) {
    int ranks = static_cast<int>(config.parallel.ranks);
    int rank = busiest_rank(config, ranks);
    std::unique_ptr<Communicator> silent = dry_rank(rank, ranks);
    CountedRanks counted(*silent);
    Exec exec{.device = pool.device(), .pool = &pool, .communicator = ranks > 1 ? &counted : nullptr};
    check_sharing(config, model, ranks);
    exec.sharing = sharing_of(config, ranks > 1 ? &counted : nullptr);
    StepLayout layout = step_layout(config, rank, ranks);
    exec.shards = layout.shards_of_pass(0);
    nn::ParameterStore store(exec, model, dtype_named(config.train.dtype), config.top.seed, true, nn::ParameterStore::Values::loaded,
                             cut_of(config));
    plan.memory_bytes["parameters"] = store.bytes_of_values();
    plan.memory_bytes["gradients"] = store.pass_gradient().bytes();
    plan.memory_bytes["optimizer"] = store.bytes_of_moments();
    nn::Trainer trainer(exec, model, store, optimizer_options(config), layout.passes, reduction_of(config));
    if (layout.passes > 1) plan.memory_bytes["gradients"] *= 2;
    std::vector<nn::ModelMemory> memories(static_cast<std::size_t>(layout.passes));
    // The second step has memory of the first.
    Traffic before;
    for (int step = 0; step < 2; ++step) {
        before = counted.traffic();
        trainer.begin(config.top.seed, step, config.train.lr);
        for (int pass = 0; pass < layout.passes; ++pass) {
            nn::ModelMemory& memory = memories[static_cast<std::size_t>(pass)];
            memory.limit = training_memory(config);
            Tensor ids(exec, {layout.sequences, layout.context}, Dtype::i32), targets(exec, ids.shape(), Dtype::i32);
            exec.shards = layout.shards_of_pass(pass);
            trainer.pass(ids, targets, memory, layout.step_tokens());
        }
        trainer.finish();
    }
    plan.communication_bytes["gradients"] = counted.traffic().sums - before.sums;
    plan.communication_bytes["gathers"] = counted.traffic().gathers - before.gathers;
    plan.communication_bytes["exchanges"] = counted.traffic().exchanges - before.exchanges;
    plan.communication_calls["gradients"] = counted.traffic().sum_calls - before.sum_calls;
    plan.communication_calls["gathers"] = counted.traffic().gather_calls - before.gather_calls;
    plan.communication_calls["exchanges"] = counted.traffic().exchange_calls - before.exchange_calls;
    plan.tokens_per_rank = layout.sequences * layout.passes * layout.context;
    Size held = 0;
    for (const auto& [kind, size] : plan.memory_bytes) held += size;
    plan.memory_bytes["activations"] = static_cast<Size>(pool.peak_bytes()) - held;
}

struct PlanArguments {
    std::string config;
    std::vector<std::string> settings;
    std::vector<Size> ranks;
    TimeOptions times;
    bool as_json = false;
};

int run_plan(const PlanArguments& arguments) {
    Config config = load_config(arguments.config);
    for (const std::string& setting : arguments.settings) set_config(config, setting);
    std::vector<Size> ranks = arguments.ranks;
    if (ranks.empty()) ranks = arguments.times.weak ? std::vector<Size>{1, 8, 64, 512, 4096} : std::vector<Size>{config.parallel.ranks};
    std::optional<Size> data_vocab;
    if (!config.model.vocab) data_vocab = data::TokenStore(config.data.path, data::Verify::sizes).vocab();
    PlanTimes times = plan_times(config, vocab_of(config, data_vocab), ranks, arguments.times);
    const Plan& plan = times.rows.front().plan;
    if (arguments.as_json) {
        nlohmann::ordered_json document = plan_json(plan);
        document["times"] = times_json(times);
        std::cout << document.dump(2) << std::endl;
    } else {
        std::cout << plan_text(plan) << times_text(times) << std::flush;
    }
    return kDone;
}

}  // namespace

Size Plan::memory_total() const {
    Size total = 0;
    for (const auto& [kind, size] : memory_bytes) total += size;
    return total;
}

Plan make_plan(const Config& config, Size vocab) {
    Pool pool(Device{DeviceKind::dry, 0});
    std::unique_ptr<nn::LanguageModel> model = make_model(config, vocab);
    Plan plan = counted(config, *model);
    plan.tokens_per_step = step_layout(config, 0, 1).step_tokens();
    measure_step(config, *model, pool, plan);
    return plan;
}

Plan count_model(const Config& config, Size vocab) { return counted(config, *make_model(config, vocab)); }

nlohmann::ordered_json plan_json(const Plan& plan) {
    nlohmann::ordered_json memory = plan.memory_bytes;
    memory["total"] = plan.memory_total();
    return {{"parameters", plan.parameters},
            {"active_parameters", plan.active_parameters},
            {"parameters_by_part", plan.parameters_by_part},
            {"flops_per_token", {{"forward", plan.flops_per_token.forward}, {"selector", plan.flops_per_token.selector}}},
            {"tokens_per_step", plan.tokens_per_step},
            {"memory_bytes", memory},
            {"communication_bytes", plan.communication_bytes}};
}

std::string plan_text(const Plan& plan) {
    std::string text = fmt::format("parameters        {} ({} used by a token)\n", plan.parameters, plan.active_parameters);
    for (const auto& [part, count] : plan.parameters_by_part) text += fmt::format("  {:<15} {:>12}\n", part, count);
    text += fmt::format("FLOPs a token     {} forward, {} of them to choose experts\n", count_text(plan.flops_per_token.forward),
                        count_text(plan.flops_per_token.selector));
    text += fmt::format("a step            {} tokens, {} FLOPs\n", plan.tokens_per_step,
                        count_text(3 * plan.flops_per_token.forward * static_cast<double>(plan.tokens_per_step)));
    text += fmt::format("memory a rank     {}\n", bytes_text(static_cast<double>(plan.memory_total())));
    for (const auto& [kind, size] : plan.memory_bytes)
        text += fmt::format("  {:<15} {:>12}\n", kind, bytes_text(static_cast<double>(size)));
    for (const auto& [kind, size] : plan.communication_bytes) {
        if (size > 0) text += fmt::format("a step sends      {} of {}\n", bytes_text(static_cast<double>(size)), kind);
    }
    return text;
}

std::function<int()> add_plan(CLI::App& app) {
    auto arguments = std::make_shared<PlanArguments>();
    app.add_option("-c,--config", arguments->config, "the run's TOML file")->required();
    app.add_option("--set", arguments->settings, "section.key=value, over the file")->allow_extra_args(false);
    app.add_option("--ranks", arguments->ranks, "over parallel.ranks; several, as 1,8,64: a table of their steps' times")
        ->delimiter(',')
        ->check(between(1, 1 << 20));
    TimeOptions& times = arguments->times;
    app.add_flag("--scaling", times.weak, "every rank keeps one rank's tokens, train.batch grows (default --ranks: 1,8,64,512,4096)");
    app.add_option("--comm", times.comm, "measured latencies and bandwidths: of bench comm --out");
    app.add_option("--flops", times.flops, "FLOP/s that a rank sustains: its peak times MFU")->check(positive());
    app.add_option("--memory-bandwidth", times.memory_bandwidth, "bytes a second of a rank's memory")->check(positive());
    app.add_option("--ranks-per-node", times.ranks_per_node, "ranks of one machine (default: 8)")->check(between(1, 4096));
    app.add_option("--overlap", times.overlap, "part of computing beside which gradients travel (default: 0.67, the backward pass)")
        ->check(between(0.0, 1.0));
    app.add_flag("--json", arguments->as_json, "print one JSON document");
    return [arguments] { return run_plan(*arguments); };
}

}  // namespace apps
