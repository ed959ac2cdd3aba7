#include "tests/support/run_folder.h"

#include "apps/routing_metrics.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>

#include <fmt/format.h>

namespace tests {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

double in_unit(std::mt19937& random) { return static_cast<double>(random()) / 4294967296.0; }
double around_zero(std::mt19937& random) { return in_unit(random) + in_unit(random) + in_unit(random) - 1.5; }

double loss_at(const RunFolder& run, double share) {
    return run.final_loss + (run.first_loss - run.final_loss) / std::pow(1 + 120 * share, 0.9);
}

Json evaluation(std::int64_t step, double nats, const char* split) {
    return {{"step", step},
            {"eval",
             {{"nats_per_token", nats},
              {"bits_per_byte", nats / std::log(2.0)},
              {"tokens", 2'000'000},
              {"bytes", 2'000'000},
              {"split", split}}}};
}

void write_metrics(const RunFolder& run, const fs::path& folder, std::mt19937& random) {
    std::ofstream out(folder / "metrics.jsonl");
    for (std::int64_t r = 1; r <= run.records; ++r) {
        std::int64_t step = r * run.log_every;
        double share = static_cast<double>(r) / static_cast<double>(run.records), loss = loss_at(run, share);
        double speed = run.tokens_per_second * (1 + 0.05 * around_zero(random));
        double warmup = std::min(1.0, share * 20), cosine = 0.5 + 0.5 * std::cos(3.14159265 * share);
        Json record{{"step", step},
                    {"tokens", step * run.tokens_per_step},
                    {"seconds", static_cast<double>(step * run.tokens_per_step) / run.tokens_per_second},
                    {"loss", loss * (1 + 0.04 * around_zero(random))},
                    {"lr", 2.5e-4 * warmup * cosine},
                    {"grad_norm", (0.3 + 2 * std::exp(-30 * share)) * std::exp(0.5 * around_zero(random))},
                    {"tokens_per_second", speed}};
        if (run.layers > 0)
            record["balance.entropy"] =
                -static_cast<double>(run.layers) * std::log(static_cast<double>(run.experts)) * (0.75 + 0.25 * std::sqrt(share));
        out << record.dump() << '\n';
        if (step % run.eval_every == 0) out << evaluation(step, loss * 1.03 + 0.01, "valid").dump() << '\n';
    }
    if (run.test_split) out << evaluation(run.records * run.log_every, run.final_loss * 1.04 + 0.03, "test").dump() << '\n';
}

// Popularities that spread out, and evener ones as training goes on; the rarest experts may end unused.
std::vector<double> popularity(const RunFolder& run, std::int64_t layer, double share) {
    std::mt19937 random(run.seed * 1000 + static_cast<std::uint32_t>(layer));
    std::vector<double> weight;
    for (std::int64_t e = 0; e < run.experts; ++e)
        weight.push_back(std::exp(run.unevenness * 2 * around_zero(random) * (1.2 - 0.8 * share)));
    if (run.unevenness > 0.8 && layer == 1) weight[static_cast<std::size_t>(run.experts) - 2] = 0;
    return weight;
}

void write_usage(const RunFolder& run, const fs::path& folder, std::mt19937& random) {
    std::ofstream out(folder / "moe.jsonl");
    for (std::int64_t r = 1; r <= run.records; ++r) {
        for (std::int64_t layer = 0; layer < run.layers; ++layer) {
            std::vector<double> weight = popularity(run, layer, static_cast<double>(r) / static_cast<double>(run.records));
            std::vector<std::int32_t> ids;
            std::vector<double> gates;
            for (std::size_t e = 0; e < weight.size(); ++e) {
                auto count = static_cast<std::int64_t>(weight[e] * 20 * (1 + 0.2 * around_zero(random)));
                for (std::int64_t i = 0; i < count; ++i) {
                    ids.push_back(static_cast<std::int32_t>(e));
                    gates.push_back(0.3 + 0.05 * static_cast<double>(e % 5));
                }
            }
            apps::RoutingCounts counts({.cells = run.experts});
            counts.add(ids, gates);
            out << apps::routing_record(r * run.log_every, static_cast<int>(layer), apps::routing_metrics(counts)).dump() << '\n';
        }
    }
}

void write_plan(const RunFolder& run, const fs::path& folder) {
    Json plan{
        {"parameters", run.parameters},
        {"active_parameters", run.active_parameters},
        {"parameters_by_part", {{"embedding", run.parameters / 20}, {"attention", run.parameters / 4}, {"ffn", run.parameters * 7 / 10}}},
        {"flops_per_token", {{"forward", run.forward_flops}, {"selector", run.layers > 0 ? run.forward_flops / 60 : 0}}},
        {"memory_bytes", {{"parameters", run.parameters * 4}}}};
    std::ofstream(folder / "plan.json") << plan.dump(2) << '\n';
}

}  // namespace

void RunFolder::write(const fs::path& folder) const {
    std::mt19937 random(seed);
    fs::path checkpoint = folder / "checkpoints" / fmt::format("step-{}", records * log_every);
    fs::create_directories(checkpoint);
    std::ofstream(folder / "config.toml") << fmt::format(
        "seed = {}\n\n[data]\npath = \"data/gcide\"\ncontext = 256\n\n[model]\nkind = \"transformer-xl\"\nchannels = 256\nlayers = 4\n\n"
        "[ffn]\nmethod = \"{}\"\n{}\n[train]\nsteps = {}\nlr = 0.00025\nlr_scale = {{ values = 4.0 }}\n",
        seed, method, layers > 0 ? fmt::format("n_experts = {}\nk = 4\n", experts) : "hidden = 1024\n", records * log_every);
    write_metrics(*this, folder, random);
    if (layers > 0) write_usage(*this, folder, random);
    if (parameters > 0) write_plan(*this, folder);
    std::ofstream(checkpoint / "state.json") << Json{{"step", records * log_every}, {"notes", notes}}.dump() << '\n';
    std::ofstream(folder / "latest") << checkpoint.filename().string() << '\n';
    fs::create_directories(folder / "samples");
    for (std::size_t i = 0; i < samples.size(); ++i) {
        std::ofstream(folder / "samples" / fmt::format("step-{}.txt", (i + 1) * 100)) << samples[i];
    }
}

apps::RunReport read_back(const RunFolder& run, const std::filesystem::path& folder) {
    run.write(folder);
    return apps::read_run(folder);
}

}  // namespace tests
