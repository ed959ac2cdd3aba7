#include "apps/plan_times.h"

#include "apps/byte_progress.h"
#include "apps/progress.h"
#include "apps/step_layout.h"
#include "apps/text_table.h"
#include "engine/base/error.h"

namespace apps {
namespace {

double total(const std::map<std::string, Size>& kinds) {
    double sum = 0;
    for (const auto& [kind, size] : kinds) sum += static_cast<double>(size);
    return sum;
}

// What a rank keeps in weak scaling: one rank's step.
Config grown(Config config, Size ranks, bool weak) {
    config.parallel.ranks = ranks;
    if (!weak) return config;
    engine::expect(config.train.batch.has_value(), "config", "train.batch must be given; hint: pass --set train.batch=…");
    if (!config.train.micro_batch) config.train.micro_batch = *config.train.batch / config.train.accumulate;
    config.train.batch = *config.train.batch * ranks;
    return config;
}

std::string milliseconds(double seconds) { return fmt::format("{:.3g}", seconds * 1e3); }

}  // namespace

StepWork work_of(const Plan& plan, const Config& config, int ranks) {
    auto bytes = [](const std::map<std::string, Size>& kinds, const char* kind) {
        auto found = kinds.find(kind);
        return found == kinds.end() ? 0.0 : static_cast<double>(found->second);
    };
    double n = ranks, others = std::max(1.0, n - 1);
    double moments = bytes(plan.memory_bytes, "optimizer");
    return {.flops = 3 * plan.flops_per_token.forward * static_cast<double>(plan.tokens_per_rank),
            .sum_bytes = bytes(plan.communication_bytes, "gradients") * n / (2 * others),
            .gather_bytes = bytes(plan.communication_bytes, "gathers") * n / others,
            .sum_calls = bytes(plan.communication_calls, "gradients") / 2,
            .gather_calls = bytes(plan.communication_calls, "gathers"),
            .exchange_bytes = bytes(plan.communication_bytes, "exchanges"),
            .exchange_calls = bytes(plan.communication_calls, "exchanges"),
            .exchange_ranks = config.parallel.expert > 1 ? static_cast<int>(config.parallel.expert) : ranks,
            // Of two moments' elements: reads 4, writes 3 (adamw.h), in bf16 half a value for the copy; the norm reads every gradient.
            .optimizer_bytes = moments * (config.train.dtype == "bfloat16" ? 3.75 : 3.5) + bytes(plan.memory_bytes, "gradients")};
}

PlanTimes plan_times(const Config& config, Size vocab, const std::vector<Size>& ranks, const TimeOptions& options) {
    PlanTimes times{.cluster = assumed_cluster(config.train.device), .rows = {}};
    Cluster& cluster = times.cluster;
    bool exact = config.parallel.reduction == "exact";
    if (!options.comm.empty()) use_constants(cluster, load_constants(options.comm), exact, options.comm);
    use_speeds(cluster, options.flops, options.memory_bandwidth);
    cluster.ranks_per_node = options.ranks_per_node;
    cluster.overlap = options.overlap.value_or(kBackwardShare);
    cluster.two_levels = !exact && config.train.device.starts_with("cuda");
    cluster.sources.push_back(
        fmt::format("given: {} ranks a machine (--ranks-per-node); sums {}", cluster.ranks_per_node,
                    cluster.two_levels ? "inside machines, then between them" : "from every rank to every rank, assumed 1 us a message"));
    cluster.sources.push_back(fmt::format("{}: gradients travel beside {:.0f} % of the computing{} (--overlap)",
                                          options.overlap ? "given" : "assumed", 100 * cluster.overlap,
                                          options.overlap ? "" : ", the backward pass"));
    for (Size count : ranks) {
        Config own = grown(config, count, options.weak);
        TimedPlan row{.ranks = static_cast<int>(count), .plan = make_plan(own, vocab), .step = {}};
        row.step = estimate_step(cluster, row.ranks, work_of(row.plan, own, row.ranks));
        times.rows.push_back(std::move(row));
    }
    return times;
}

nlohmann::ordered_json times_json(const PlanTimes& times) {
    nlohmann::ordered_json out;
    for (const TimedPlan& row : times.rows) {
        const StepEstimate& step = row.step;
        out["rows"].push_back({{"ranks", row.ranks},
                               {"tokens_per_step", row.plan.tokens_per_step},
                               {"seconds",
                                {{"compute", step.compute},
                                 {"gradient_sum", step.sum},
                                 {"gradient_sum_exposed", step.exposed_sum},
                                 {"gathers", step.gather},
                                 {"exchanges", step.exchange},
                                 {"optimizer", step.optimizer},
                                 {"total", step.total()}}},
                               {"efficiency", step.efficiency()},
                               {"tokens_per_second", static_cast<double>(row.plan.tokens_per_step) / step.total()},
                               {"memory_bytes", row.plan.memory_total()},
                               {"communication_bytes", total(row.plan.communication_bytes)}});
    }
    out["sources"] = times.cluster.sources;
    return out;
}

std::string times_text(const PlanTimes& times) {
    TextTable table({"ranks", "tokens", "compute", "sum", "exposed", "gathers", "exchanges", "optimizer", "step ms", "efficiency",
                     "tokens/s", "memory a rank", "sends a rank"});
    for (const TimedPlan& row : times.rows) {
        const StepEstimate& step = row.step;
        double tokens = static_cast<double>(row.plan.tokens_per_step);
        table.add({fmt::format("{}", row.ranks), count_text(tokens), milliseconds(step.compute), milliseconds(step.sum),
                   milliseconds(step.exposed_sum), milliseconds(step.gather), milliseconds(step.exchange), milliseconds(step.optimizer),
                   milliseconds(step.total()), fmt::format("{:.0f} %", 100 * step.efficiency()), count_text(tokens / step.total()),
                   bytes_text(static_cast<double>(row.plan.memory_total())), bytes_text(total(row.plan.communication_bytes))});
    }
    std::string text = "time of a step by rank, milliseconds\n" + table.text();
    for (const std::string& source : times.cluster.sources) text += "  " + source + "\n";
    return text;
}

}  // namespace apps
