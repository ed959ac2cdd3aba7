#pragma once
// Steps of a small model over virtual ranks, in any layout.
#include "engine/base/device.h"
#include "nn/options.h"
#include "nn/parameter_store.h"
#include "nn/trainer.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace tests {

// A Transformer-XL of two layers with a method's feed-forward, and how it trains: on `sequences` sequences in as many micro-shards.
struct RankSetting {
    const char* method;
    std::vector<std::pair<const char*, nn::OptionValue>> options;
    bool tied = false, touched = false;
    engine::Dtype dtype = engine::Dtype::f32;
    double decay = 0.1;
    engine::Size channels = 6;
    int sequences = 8;
    bool shares_values = false;  // one table for both layers
    engine::Device device = {};
};

struct RankLayout {
    int ranks = 1, experts = 1, tables = 1;
    nn::ParameterStore::Cut cut = nn::ParameterStore::Cut::none;
    nn::Reduction reduction = nn::Reduction::exact;
};

// After three steps: losses, norms, balance and an evaluation that is no rank's share of a pass, as the first rank reports them; every
// parameter whole, of whichever ranks hold it, and the states.
struct RankTraining {
    std::map<std::string, std::vector<double>> weights;
    std::vector<double> losses;
};

// Checks that what several ranks hold of a parameter is equal.
RankTraining train_over_ranks(const RankSetting& setting, const RankLayout& layout);

// What a rank holds of a parameter goes to its place in the whole; where another rank brought it before, the bits are the same.
void join_part(std::vector<double>& whole, const nn::ParameterStore::Place& place, const std::vector<double>& held);

}  // namespace tests
