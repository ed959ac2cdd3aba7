#pragma once
// What `inspect` finds in a run: its newest checkpoint's tensors, and how its layers choose on held-out text.
#include "apps/co_selection.h"
#include "apps/loaded_run.h"
#include "apps/routing_metrics.h"
#include "data/token_store.h"

#include <nlohmann/json.hpp>

namespace apps {

struct TensorFacts {
    std::string name, dtype;
    std::vector<Size> shape;
    Size count = 0;
    // Of the finite values.
    double mean = 0, deviation = 0, least = 0, most = 0;
    Size not_finite = 0;
};
std::vector<TensorFacts> tensor_facts(const fs::path& checkpoint);

// How one layer chose.
struct LayerChoices {
    RoutingCounts counts;   // by sequence, too
    RoutingCounts windows;  // by window of all streams
    CoSelection pairs;
    double router_entropy = 0;  // Σ over rows of the entropy of softmax(logits), in nats; NaN where there are no logits
    Size rows = 0;              // tokens; sequences where a layer chooses once for each
};

struct RoutingFacts {
    std::string split;
    Size tokens = 0;  // that were read
    double nats_per_token = 0;
    std::map<int, LayerChoices> layers;
};
// Reads a split window by window, with memory, until `tokens` are read; 0: all of it.
RoutingFacts routing_facts(LoadedRun& run, const data::TokenStore& store, const std::string& split, Size tokens);

struct Inspection {
    std::string name, path, method;
    std::int64_t step = 0;
    std::vector<std::string> notes;  // such as "leaks the future"
    std::vector<TensorFacts> tensors;
    RoutingFacts routing;
};

// The keys of `inspect --json`.
nlohmann::ordered_json inspection_json(const Inspection& inspection);
std::string inspection_text(const Inspection& inspection);
// One self-contained page.
std::string inspection_page(const Inspection& inspection);

}  // namespace apps
