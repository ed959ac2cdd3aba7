// Language models of mixers: gMLP, and sMLP with both kinds of routing.
#include "nn/mlp_model.h"

#include "engine/tensor/transfer.h"
#include "moe/methods/table.h"
#include "nn/evaluation.h"
#include "nn/parameter_store.h"
#include "tests/support/devices.h"
#include "tests/support/model_gradients.h"
#include "tests/support/random.h"

#include <numeric>

using namespace engine;

namespace {

constexpr Size kVocab = 11, kContext = 12, kPrefix = 5;  // ⌈0.35·12⌉
constexpr const char* kKinds[] = {"gmlp", "smlp", "partial"};
constexpr const char* kCausalKinds[] = {"gmlp", "smlp"};

nn::OptionTable mixer_options(const std::string& kind) {
    nn::OptionTable table("mixer");
    table.set("hidden", Size{24}), table.set("context", kContext);
    if (kind != "gmlp") table.set("n_experts", Size{3});
    if (kind == "partial") table.set("routing", std::string("partial-prediction")), table.set("partial", 0.35);
    return table;
}

// Three blocks; sMLP's feed-forwards are dense, σ-MoE, dense.
std::unique_ptr<nn::MlpModel> small_model(const std::string& kind, bool tied = false) {
    nn::FeedForwardMaker feed_forward = [](const nn::LayerPlace& place) {
        nn::OptionTable table("ffn");
        if (place.layer != 1) {
            table.set("hidden", Size{7});
            return moe::make_feed_forward(moe::method_named("dense"), table, place);
        }
        table.set("n_experts", Size{4}), table.set("expert_size", Size{3}), table.set("k", Size{2}), table.set("entropy_weight", 0.1);
        return moe::make_feed_forward(moe::method_named("sigma-moe"), table, place);
    };
    const moe::Method& method = moe::method_named(kind == "gmlp" ? "gmlp" : "smlp");
    return std::make_unique<nn::MlpModel>(
        nn::MlpOptions{.vocab = kVocab, .channels = 6, .layers = 3, .tied = tied},
        [&method, kind](const nn::LayerPlace& place) { return moe::make_mixer(method, mixer_options(kind), place); },
        kind == "gmlp" ? nn::FeedForwardMaker() : feed_forward);
}

// A store whose spatial matrices are not near 0, as they begin: positions matter.
nn::ParameterStore stirred(Exec& exec, nn::MlpModel& model, Dtype dtype, bool trains) {
    nn::ParameterStore store(exec, model, dtype, 3, trains);
    for (const auto& place : store.places()) {
        if (!place.parameter->name.ends_with("spatial.w")) continue;
        Tensor value = store.view(store.master(), place);
        copy_from_host(exec, value, tests::random_values(value.shape().elements(), place.parameter->name.size()));
    }
    store.share_values(exec);
    return store;
}

std::vector<std::int32_t> token_ids(Size count, std::uint64_t salt) { return tests::random_ids(count, kVocab, salt); }

// One sequence; `window` tokens at a time, `limit` of them remembered.
std::vector<double> logits_of(Exec& exec, nn::MlpModel& model, const std::vector<std::int32_t>& ids, Size window = 100, Size limit = 0) {
    std::vector<double> all;
    nn::ModelMemory memory{.limit = limit};
    for (Size first = 0; first < static_cast<Size>(ids.size()); first += window) {
        std::vector<std::int32_t> part(ids.begin() + first, ids.begin() + std::min<Size>(first + window, static_cast<Size>(ids.size())));
        Tape tape(exec, false, false);
        nn::ModelResult result = model.forward(tape, from_host(exec, {1, static_cast<Size>(part.size())}, Dtype::i32, part), memory, 1);
        std::vector<double> logits = to_host<double>(exec, result.logits_NV.value());
        all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
}

std::vector<double> rows(const std::vector<double>& logits, Size first, Size last) {
    return {logits.begin() + first * kVocab, logits.begin() + last * kVocab};
}

}  // namespace

TEST_CASE_DEVICES("decoding, the prefix at once and then token by token, gives the bits of the whole window") {
    for (const char* kind : kKinds) {
        for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
            INFO(kind);
            auto model = small_model(kind);
            nn::ParameterStore store = stirred(exec, *model, dtype, false);
            std::vector<std::int32_t> ids = token_ids(kContext, 1);
            Size first = std::max<Size>(1, model->prefix());
            CHECK(first == (kind == std::string("partial") ? kPrefix : 1));
            nn::DecodeCache cache;
            std::vector<double> decoded;
            for (Size at = 0; at < kContext; at = at == 0 ? first : at + 1) {
                std::vector<std::int32_t> part(ids.begin() + at, ids.begin() + (at == 0 ? first : at + 1));
                Tape tape(exec, false, false);
                nn::ModelResult result = model->decode(tape, from_host(exec, {1, static_cast<Size>(part.size())}, Dtype::i32, part), cache);
                std::vector<double> logits = to_host<double>(exec, result.logits_NV.value());
                decoded.insert(decoded.end(), logits.begin(), logits.end());
            }
            CHECK(decoded == logits_of(exec, *model, ids));
        }
    }
}

TEST_CASE_DEVICES("a shorter window is the beginning of a longer one, bit for bit; memory is read again in front of the window") {
    for (const char* kind : kCausalKinds) {
        auto model = small_model(kind);
        nn::ParameterStore store = stirred(exec, *model, Dtype::f32, false);
        std::vector<std::int32_t> ids = token_ids(kContext, 1);
        std::vector<double> whole = logits_of(exec, *model, ids);
        for (Size length : {1, 7, 11}) {
            std::vector<std::int32_t> part(ids.begin(), ids.begin() + length);
            CHECK(logits_of(exec, *model, part) == rows(whole, 0, length));
        }
        CHECK(logits_of(exec, *model, ids, 4, 8) == whole);
        CHECK(logits_of(exec, *model, ids, 4, 4) != whole);
    }
}

TEST_CASE("a token does not change the logits before it, but within the prefix of partial prediction") {
    Exec exec{.pool = &pool_of({})};
    for (const char* kind : kKinds) {
        INFO(kind);
        auto model = small_model(kind);
        nn::ParameterStore store = stirred(exec, *model, Dtype::f32, false);
        std::vector<std::int32_t> ids = token_ids(kContext, 1);
        std::vector<double> before = logits_of(exec, *model, ids);
        for (Size changed = 1; changed < kContext; ++changed) {
            std::vector<std::int32_t> other = ids;
            other[static_cast<std::size_t>(changed)] = (ids[static_cast<std::size_t>(changed)] + 1) % kVocab;
            std::vector<double> after = logits_of(exec, *model, other);
            CHECK((rows(before, 0, changed) == rows(after, 0, changed)) == (changed >= model->prefix()));
            CHECK(rows(before, changed, kContext) != rows(after, changed, kContext));
        }
    }
}

TEST_CASE("every parameter's gradient equals finite differences of loss and balance, in double; above the diagonal it is 0") {
    Exec exec{.pool = &pool_of({})};
    for (const char* kind : kKinds) {
        auto model = small_model(kind, kind == std::string("gmlp"));
        nn::ParameterStore store = stirred(exec, *model, Dtype::f64, true);
        constexpr Size kLength = kContext - 1;
        tests::ModelWindow window{from_host(exec, {2, kLength}, Dtype::i32, token_ids(2 * kLength, 2)),
                                  from_host(exec, {2 * kLength}, Dtype::i32, token_ids(2 * kLength, 3))};
        INFO(kind);
        tests::check_model_gradients(exec, *model, store, window, 7, 1e-4);
        for (const auto& place : store.places()) {
            if (!place.parameter->name.ends_with("spatial.w")) continue;
            std::vector<double> gradient = to_host<double>(exec, store.view(store.gradient(), place));
            for (std::size_t i = 0; i < gradient.size(); ++i) {
                Size t = static_cast<Size>(i) / kContext % kContext, s = static_cast<Size>(i) % kContext;
                CHECK((s > t || t >= kLength ? gradient[i] == 0 : true));
            }
        }
    }
}

TEST_CASE("no score of an evaluation sees its target: the prefix is scored position by position") {
    Exec exec{.pool = &pool_of({})};
    auto nats = [&](const std::vector<double>& logits, Size row, std::int32_t target) {
        std::vector<double> own = rows(logits, row, row + 1);
        double sum = std::accumulate(own.begin(), own.end(), 0.0, [](double s, double z) { return s + std::exp(z); });
        return std::log(sum) - own[static_cast<std::size_t>(target)];
    };
    for (const char* kind : kKinds) {
        INFO(kind);
        auto model = small_model(kind);
        nn::ParameterStore store = stirred(exec, *model, Dtype::f64, false);
        std::vector<std::int32_t> ids = token_ids(kContext + 1, 4), inputs(ids.begin(), ids.end() - 1), targets(ids.begin() + 1, ids.end());
        double expected = 0;
        for (Size t = 0; t < kContext; ++t) {
            std::vector<std::int32_t> seen(inputs.begin(), inputs.begin() + t + 1);
            // In the window that ends with it; from the prefix on the whole window says the same.
            expected += nats(logits_of(exec, *model, seen), t, targets[static_cast<std::size_t>(t)]);
        }
        for (Size window : {kContext, Size{3}}) {
            // Of windows of 3, all that came before is remembered: 9 + 3 positions.
            nn::ModelMemory memory{.limit = window == kContext ? 0 : kContext - window};
            nn::EvaluationSums sums;
            for (Size first = 0; first < kContext; first += window) {
                auto part = [&](const std::vector<std::int32_t>& all) {
                    return from_host(exec, {1, window}, Dtype::i32,
                                     std::vector<std::int32_t>(all.begin() + first, all.begin() + first + window));
                };
                nn::EvaluationSums own = nn::evaluate_window(exec, *model, part(inputs), part(targets), memory);
                sums.nats += own.nats, sums.tokens += own.tokens;
            }
            CHECK(sums.tokens == kContext);
            CHECK(sums.nats == doctest::Approx(expected).epsilon(1e-12));
        }
    }
}

TEST_CASE("a window longer than the context and a prompt shorter than the prefix are refused, and so is a model that sees everything") {
    Exec exec{.pool = &pool_of({})};
    auto model = small_model("partial");
    nn::ParameterStore store = stirred(exec, *model, Dtype::f32, false);
    CHECK_THROWS_WITH(logits_of(exec, *model, token_ids(kContext + 1, 1)),
                      "[mixer] the window and what is remembered do not fit the context: got 13 + 0 positions, expected at most 12");
    Tape tape(exec, false, false);
    nn::DecodeCache cache;
    CHECK_THROWS_WITH(
        model->decode(tape, from_host(exec, {1, 4}, Dtype::i32, token_ids(4, 1)), cache),
        "[smlp] a prompt must hold the positions that choose the experts, ⌈partial·context⌉: got 4 tokens, expected at least 5; "
        "hint: a prompt of 5 tokens");
    nn::OptionTable blind = mixer_options("gmlp");
    blind.set("causal", false);
    CHECK_THROWS(nn::MlpModel({.vocab = 3, .channels = 6, .layers = 1},
                              [&](const nn::LayerPlace& place) { return moe::make_mixer(moe::method_named("gmlp"), blind, place); }));
}
