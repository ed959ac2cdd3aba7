#include "apps/inspection.h"

#include "apps/evaluate.h"
#include "engine/io/safetensors.h"
#include "engine/tensor/transfer.h"
#include "nn/evaluation.h"

#include <algorithm>
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

// −Σ p ln p of softmax(z).
double entropy_of(const double* z, Size E) {
    double most = *std::max_element(z, z + E), sum = 0, weighted = 0;
    for (Size e = 0; e < E; ++e) {
        double power = std::exp(z[e] - most);
        sum += power;
        weighted += power * (z[e] - most);
    }
    return std::log(sum) - weighted / sum;
}

// Values (B·T', width) as (B·T, width): the last window may be shorter, and rows that are not scored chose nobody.
template <class T>
std::vector<T> padded(const std::vector<T>& values, const data::Window& window, Size context, Size width, T nobody) {
    std::vector<T> all(static_cast<std::size_t>(window.rows * context * width), nobody);
    for (Size row = 0; row < window.rows * window.columns; ++row) {
        if (window.targets[static_cast<std::size_t>(row)] < 0) continue;
        Size place = row / window.columns * context + row % window.columns;
        std::copy_n(values.begin() + row * width, width, all.begin() + place * width);
    }
    return all;
}

double router_entropy(const Exec& exec, const nn::Routing& routing, const data::Window& window) {
    if (!routing.logits_NE.defined()) return NAN;
    Size E = routing.logits_NE.size(-1);
    std::vector<double> logits = to_host<double>(exec, routing.logits_NE);
    double sum = 0;
    for (std::size_t row = 0; row < window.targets.size(); ++row) {
        if (window.targets[row] >= 0) sum += entropy_of(&logits[row * static_cast<std::size_t>(E)], E);
    }
    return sum;
}

void count(RoutingFacts& facts, const Exec& exec, const nn::LayerReport& report, const data::Window& window, Size context) {
    const nn::Routing& routing = report.routing;
    if (!routing.ids.defined()) return;
    // A layer that chooses once a sequence has a row each.
    bool by_token = routing.ids.shape()[0] == window.rows * window.columns;
    RoutingShape by_sequence = routing_shape(routing, by_token ? context : 0);
    RoutingShape by_window = routing_shape(routing, by_token ? context * window.rows : window.rows);
    if (by_sequence.cells == 0) return;
    Size choices = by_sequence.choices;
    auto [place, fresh] = facts.layers.try_emplace(
        report.layer, LayerChoices{RoutingCounts(by_sequence), RoutingCounts(by_window), CoSelection(by_sequence.cells, choices)});
    LayerChoices& layer = place->second;
    std::vector<std::int32_t> ids = to_host<std::int32_t>(exec, routing.ids);
    std::vector<double> gates = to_host<double>(exec, routing.gates);
    layer.rows +=
        by_token ? std::count_if(window.targets.begin(), window.targets.end(), [](std::int32_t id) { return id >= 0; }) : window.rows;
    layer.router_entropy += by_token ? router_entropy(exec, routing, window) : NAN;
    if (by_token) {
        ids = padded(ids, window, context, choices, -1);
        gates = padded(gates, window, context, choices, 0.0);
    }
    layer.counts.add(ids, gates);
    layer.windows.add(ids, gates);
    layer.pairs.add(ids);
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
    EvaluationOptions options = fitted(evaluation_options(run.config), *run.model);
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
        for (const nn::LayerReport& report : reports) count(facts, run.exec, report, window, options.context);
    }
    facts.nats_per_token = nats / static_cast<double>(facts.tokens);
    return facts;
}

}  // namespace apps
