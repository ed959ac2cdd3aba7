#include "apps/inspection.h"

#include "apps/evaluate.h"
#include "engine/io/safetensors.h"
#include "engine/tensor/transfer.h"
#include "nn/evaluation.h"

#include <cmath>

namespace apps {

using namespace engine;

namespace {

void add_values(TensorFacts& facts, const std::vector<double>& values) {
    double sum = 0, squares = 0;
    Size finite = 0;
    for (double value : values) {
        if (!std::isfinite(value)) {
            facts.not_finite += 1;
            continue;
        }
        facts.least = finite == 0 ? value : std::min(facts.least, value);
        facts.most = finite == 0 ? value : std::max(facts.most, value);
        sum += value;
        finite += 1;
    }
    if (finite == 0) return;
    facts.mean = sum / static_cast<double>(finite);
    for (double value : values) {
        if (std::isfinite(value)) squares += (value - facts.mean) * (value - facts.mean);
    }
    facts.deviation = std::sqrt(squares / static_cast<double>(finite));
}

}  // namespace

std::vector<TensorFacts> tensor_facts(const fs::path& checkpoint) {
    io::SafetensorsFile file = io::SafetensorsFile::open(checkpoint / "model.safetensors");
    std::vector<TensorFacts> all;
    for (const std::string& name : file.names()) {
        const io::TensorEntry& entry = file.entry(name);
        TensorFacts facts{.name = name, .dtype = entry.dtype, .shape = entry.shape, .count = file.shape(name).elements()};
        if (entry.dtype.starts_with("I")) {
            std::vector<std::int64_t> whole = file.read<std::int64_t>(name);
            add_values(facts, std::vector<double>(whole.begin(), whole.end()));
        } else {
            add_values(facts, file.read<double>(name));
        }
        all.push_back(std::move(facts));
    }
    return all;
}

RoutingFacts routing_facts(LoadedRun& run, const data::TokenStore& store, const std::string& split, Size tokens) {
    EvaluationOptions options = evaluation_options(run.config);
    data::EvaluationStreams streams(store.split(split), store.tokenizer(), options.streams, options.context);
    RoutingFacts facts{.split = split};
    double nats = 0;
    nn::ModelMemory memory{.limit = options.memory};
    for (std::int64_t step = 0; step < streams.windows() && (tokens == 0 || facts.tokens < tokens); ++step) {
        data::Window window = streams.at(step);
        Shape shape{window.rows, window.columns};
        std::vector<nn::LayerReport> reports;
        nn::EvaluationSums sums = nn::evaluate_window(run.exec, *run.model, from_host(run.exec, shape, Dtype::i32, window.ids),
                                                      from_host(run.exec, shape, Dtype::i32, window.targets), memory, nullptr, &reports);
        nats += sums.nats;
        facts.tokens += sums.tokens;
        std::vector<bool> scored(window.targets.size());
        for (std::size_t i = 0; i < scored.size(); ++i) scored[i] = window.targets[i] >= 0;
        for (const nn::LayerReport& report : reports) {
            const nn::Routing& routing = report.routing;
            if (!routing.ids.defined() || (routing.cells == 0 && !routing.logits_NE.defined())) continue;
            facts.layers[report.layer].add(run.exec, routing, window.rows, scored);
        }
    }
    facts.nats_per_token = nats / static_cast<double>(facts.tokens);
    return facts;
}

}  // namespace apps
