// Causality of whole models: for every row of the table, in training and in evaluation, no later token reaches an earlier output, but where
// METHODS says that the row leaks; there it must be seen to.
#include "engine/tensor/transfer.h"
#include "nn/parameter_store.h"
#include "nn/transformer_xl.h"
#include "tests/support/devices.h"
#include "tests/support/moe_cases.h"
#include "tests/support/random.h"

#include <algorithm>

using namespace engine;
using namespace tests;

namespace {

constexpr Size kVocab = 7, kSequences = 2, kContext = 8, kChannels = 6;  // channels are even: sines and cosines, halves of queries

std::vector<MoeCase> all_cases() {
    std::vector<MoeCase> cases = moe_cases();
    cases.push_back({{"dense", 0, 0, "hidden=9 activation=gelu bias=true"}});
    cases.push_back({{"topk", 0, 0, "hidden=9 k=3"}});
    return cases;
}

// Two blocks with the row as feed-forward, and weights of the size that training leaves: what begins as nothing would hide a leak.
struct SmallModel {
    nn::TransformerXl model;
    nn::ParameterStore store;

    SmallModel(Exec& exec, const LayerCase& c)
        : model({.vocab = kVocab, .channels = kChannels, .layers = 2, .heads = 2, .head_size = 3},
                [&c](const nn::LayerPlace& place) {
                    return moe::make_feed_forward(moe::method_named(c.method), options_of(c.options), place);
                }),
          store(exec, moved(model), Dtype::f32, 3, false) {}

    static nn::Module& moved(nn::TransformerXl& model) {
        std::vector<nn::Parameter*> parameters;
        std::vector<nn::State*> states;
        model.collect("", parameters, states);
        std::uint64_t salt = 50;
        for (nn::Parameter* p : parameters) {
            p->initial = [salt = ++salt](const Shape& shape, std::uint64_t) { return random_values(shape.elements(), salt); };
        }
        return model;
    }

    std::vector<float> logits(Exec& exec, const std::vector<std::int32_t>& ids, bool training) {
        Tape tape(exec, false, training);
        nn::ModelMemory memory{.limit = 0};
        nn::ModelResult result = model.forward(tape, from_host(exec, {kSequences, kContext}, Dtype::i32, ids), memory, 1);
        return to_host<float>(exec, result.logits_NV.value());
    }
};

std::vector<std::int32_t> some_tokens(std::uint64_t salt) { return random_ids(kSequences * kContext, kVocab, salt); }

// Whether other tokens from position 5 of the last sequence on change any output before them, in some of 20 texts.
bool later_reaches_earlier(const LayerCase& c, bool training) {
    Exec exec;
    StepScalars scalars{.seed = 5, .step = 3};
    exec.scalars = &scalars;
    SmallModel small(exec, c);
    constexpr Size kFirst = (kSequences - 1) * kContext + 5;
    bool reaches = false;
    for (std::uint64_t text = 0; text < 20 && !reaches; ++text) {
        std::vector<std::int32_t> ids = some_tokens(text), other = ids;
        for (std::size_t i = kFirst; i < other.size(); ++i)
            other[i] = (other[i] + 1 + static_cast<std::int32_t>(i) % 3) % static_cast<std::int32_t>(kVocab);
        std::vector<float> before = small.logits(exec, ids, training), after = small.logits(exec, other, training);
        CHECK(before != after);
        CHECK(std::none_of(before.begin(), before.end(), [](float v) { return v != v; }));
        reaches = !std::equal(before.begin(), before.begin() + kFirst * kVocab, after.begin());
    }
    return reaches;
}

// Rows that mix positions by themselves are no feed-forwards of a Transformer-XL.
bool mixes_positions(const moe::Method& method) {
    nn::OptionTable sizes("test");
    for (const char* name : {"n_experts", "sub_keys"}) sizes.offer(name, Size{4});
    for (const char* name : {"k", "heads", "rank"}) sizes.offer(name, Size{2});
    for (const char* name : {"hidden", "expert_size", "cells", "query_size", "vocab", "context"}) sizes.offer(name, Size{8});
    return moe::make_feed_forward(method, sizes, {.channels = 8})->mixes_positions();
}

}  // namespace

TEST_CASE("in a whole model of every row no later token changes an earlier output, and every row that leaks is seen to, where it says so") {
    for (const MoeCase& c : all_cases()) {
        for (bool training : {true, false}) {
            INFO(c.layer.method << " " << c.layer.options << (training ? " in training" : " in evaluation"));
            moe::Leaks leaks = moe::method_named(c.layer.method).leaks;
            bool in_training_only = leaks == moe::Leaks::in_training || leaks == moe::Leaks::with_batch_norm;
            CHECK(later_reaches_earlier(c.layer, training) == (c.leaks && (training || !in_training_only)));
        }
    }
}

TEST_CASE("every row of the table that stands in a Transformer-XL is among the cases, and each that may leak has one that does") {
    std::vector<MoeCase> cases = all_cases();
    for (const moe::Method& method : moe::methods()) {
        INFO(method.name << "; hint: tests/support/moe_cases.h");
        auto is_it = [&](const MoeCase& c) { return c.layer.method == method.name; };
        CHECK((mixes_positions(method) || std::any_of(cases.begin(), cases.end(), is_it)));
        bool leaks = std::any_of(cases.begin(), cases.end(), [&](const MoeCase& c) { return is_it(c) && c.leaks; });
        // Cases of rows with a query need not take its batch norm.
        bool may = method.leaks != moe::Leaks::never && method.leaks != moe::Leaks::with_batch_norm;
        CHECK((mixes_positions(method) || !may || leaks));
    }
}
