#include "nn/transformer_xl.h"

#include "engine/comm/communicator.h"
#include "engine/tensor/transfer.h"
#include "moe/methods/table.h"
#include "nn/parameter_store.h"
#include "nn/trainer.h"
#include "tests/support/devices.h"
#include "tests/support/model_gradients.h"
#include "tests/support/random.h"

using namespace engine;

namespace {

constexpr Size kVocab = 11, kContext = 5;

// The third block is dense, the others are `method`.
std::unique_ptr<nn::TransformerXl> small_model(const std::string& method, float dropout = 0, bool tied = false) {
    nn::TransformerXlOptions options{
        .vocab = kVocab, .channels = 6, .layers = 3, .heads = 2, .head_size = 3, .dropout = dropout, .tied = tied};
    return std::make_unique<nn::TransformerXl>(options, [method, dropout](const nn::LayerPlace& place) {
        nn::OptionTable table("ffn");
        bool dense = place.layer == 2 || method == "dense";
        if (dense) {
            table.set("hidden", Size{7});
            return moe::make_feed_forward(moe::method_named("dense"), table, place);
        }
        table.set("n_experts", Size{4}), table.set("expert_size", Size{3}), table.set("k", Size{2});
        table.set("entropy_weight", 0.1);
        if (method == "sigma-moe") table.set("expert_dropout", static_cast<double>(dropout));
        return moe::make_feed_forward(moe::method_named(method), table, place);
    });
}

std::vector<std::int32_t> token_ids(Size count, std::uint64_t salt) { return tests::random_ids(count, kVocab, salt); }

// Logits of consecutive windows of one stream of `count` tokens, memory carried.
std::vector<double> logits_by_windows(Exec& exec, nn::TransformerXl& model, const std::vector<std::int32_t>& ids, Size window, Size limit) {
    std::vector<double> all;
    nn::ModelMemory memory{.limit = limit};
    for (std::size_t first = 0; first < ids.size(); first += static_cast<std::size_t>(window)) {
        std::vector<std::int32_t> part(ids.begin() + static_cast<std::ptrdiff_t>(first),
                                       ids.begin() + static_cast<std::ptrdiff_t>(first) + window);
        Tape tape(exec, false, false);
        nn::ModelResult result = model.forward(tape, from_host(exec, {1, window}, Dtype::i32, part), memory, 1);
        std::vector<double> logits = to_host<double>(exec, result.logits_NV.value());
        all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
}

}  // namespace

TEST_CASE_DEVICES("a window split in two with memory gives the same bits as the whole, and so does decoding token by token") {
    for (const char* method : {"dense", "sigma-moe"}) {
        auto model = small_model(method);
        nn::ParameterStore store(exec, *model, Dtype::f32, 3, false);
        std::vector<std::int32_t> ids = token_ids(12, 1);
        std::vector<double> whole = logits_by_windows(exec, *model, ids, 12, 0);
        CHECK(logits_by_windows(exec, *model, ids, 6, 6) == whole);
        CHECK(logits_by_windows(exec, *model, ids, 4, 100) == whole);
        nn::DecodeCache cache{.limit = 100};
        std::vector<double> decoded;
        for (std::int32_t id : ids) {
            Tape tape(exec, false, false);
            nn::ModelResult result = model->decode(tape, from_host(exec, {1, 1}, Dtype::i32, std::vector<std::int32_t>{id}), cache);
            std::vector<double> logits = to_host<double>(exec, result.logits_NV.value());
            decoded.insert(decoded.end(), logits.begin(), logits.end());
        }
        CHECK(decoded == whole);
    }
}

TEST_CASE("what memory forgets no longer matters, what it keeps does") {
    Exec exec{.pool = &pool_of({})};
    auto model = small_model("sigma-moe");
    nn::ParameterStore store(exec, *model, Dtype::f64, 3, false);
    std::vector<std::int32_t> ids = token_ids(15, 1), other = ids;
    other[0] = (ids[0] + 1) % kVocab;
    auto last_window = [&](const std::vector<std::int32_t>& text, Size limit) {
        std::vector<double> all = logits_by_windows(exec, *model, text, kContext, limit);
        return std::vector<double>(all.end() - kContext * kVocab, all.end());
    };
    CHECK(last_window(ids, 10) != last_window(other, 10));
    // Layer 3 sees layer 2's inputs of one window back, which saw the window before: with no memory nothing of it remains.
    CHECK(last_window(ids, 0) == last_window(other, 0));
}

TEST_CASE("a token does not change the logits before it") {
    Exec exec{.pool = &pool_of({})};
    for (const char* method : {"dense", "sigma-moe", "softmax-after"}) {
        auto model = small_model(method);
        nn::ParameterStore store(exec, *model, Dtype::f32, 3, false);
        std::vector<std::int32_t> ids = token_ids(10, 1), other = ids;
        other[6] = (ids[6] + 1) % kVocab;
        std::vector<double> before = logits_by_windows(exec, *model, ids, 10, 0), after = logits_by_windows(exec, *model, other, 10, 0);
        std::size_t same = 6 * kVocab;
        CHECK(std::equal(before.begin(), before.begin() + same, after.begin()));
        CHECK_FALSE(std::equal(before.begin() + same, before.end(), after.begin() + same));
    }
}

TEST_CASE("every parameter's gradient equals finite differences of loss and balance, in double, with memory") {
    Exec exec{.pool = &pool_of({})};
    for (bool tied : {false, true}) {
        auto model = small_model("sigma-moe", 0, tied);
        nn::ParameterStore store(exec, *model, Dtype::f64, 3, true);
        nn::ModelMemory memory{.limit = kContext};
        Tensor before = from_host(exec, {2, kContext}, Dtype::i32, token_ids(2 * kContext, 1));
        {
            Tape tape(exec, false, true);
            model->forward(tape, before, memory, 1);
        }
        tests::ModelWindow window{from_host(exec, {2, kContext}, Dtype::i32, token_ids(2 * kContext, 2)),
                                  from_host(exec, {2 * kContext}, Dtype::i32, token_ids(2 * kContext, 3)), memory};
        tests::check_model_gradients(exec, *model, store, window, 3, 1e-6);
    }
}

namespace {

struct Trained {
    std::vector<double> weights, losses;
};

// Three steps on 8 sequences in 8 micro-shards, over virtual ranks.
Trained train_on(Device device, int ranks, Dtype dtype, int accumulate) {
    Trained trained;
    run_virtual_ranks(ranks, [&](Communicator& communicator) {
        Exec exec{.device = device, .pool = &pool_of(device), .communicator = &communicator};
        auto model = small_model("sigma-moe", 0.2f);
        nn::ParameterStore store(exec, *model, dtype, 3, true);
        nn::Trainer trainer(exec, *model, store, {.eps = 1e-3, .weight_decay = 0.1, .clip = 0.5}, accumulate);
        Size pass = 8 / accumulate, own = pass / ranks;
        std::vector<nn::ModelMemory> memories(static_cast<std::size_t>(accumulate), nn::ModelMemory{.layers = {}, .limit = kContext});
        for (int step = 0; step < 3; ++step) {
            trainer.begin(5, step, 1e-2);
            for (int p = 0; p < accumulate; ++p) {
                Size first = p * pass + communicator.rank() * own;
                exec.shards = {.first = static_cast<int>(first), .count = static_cast<int>(own), .total = static_cast<int>(pass)};
                std::vector<std::int32_t> all = token_ids(8 * (kContext + 1), static_cast<std::uint64_t>(step)), ids, targets;
                for (Size b = first; b < first + own; ++b) {
                    for (Size t = 0; t < kContext; ++t) {
                        ids.push_back(all[static_cast<std::size_t>(b * (kContext + 1) + t)]);
                        targets.push_back(all[static_cast<std::size_t>(b * (kContext + 1) + t + 1)]);
                    }
                }
                trainer.pass(from_host(exec, {own, kContext}, Dtype::i32, ids), from_host(exec, {own, kContext}, Dtype::i32, targets),
                             memories[static_cast<std::size_t>(p)], 8 * kContext);
            }
            trainer.finish();
            nn::StepReport report = trainer.read();
            if (communicator.rank() == 0) {
                trained.losses.push_back(report.loss);
                trained.losses.push_back(report.gradient_norm);
                for (const auto& [name, value] : report.balance) trained.losses.push_back(value);
            }
        }
        if (communicator.rank() == 0) trained.weights = to_host<double>(exec, store.master());
    });
    return trained;
}

}  // namespace

TEST_CASE("1, 2 and 4 virtual ranks train to equal weights and losses, bit for bit") {
    for (Device device : {Device{DeviceKind::cpu, 0}, Device{DeviceKind::simt, 0}}) {
        for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
            Trained one = train_on(device, 1, dtype, 1);
            for (int ranks : {2, 4}) {
                Trained many = train_on(device, ranks, dtype, 1);
                CHECK(many.weights == one.weights);
                CHECK(many.losses == one.losses);
            }
        }
    }
    CHECK(train_on({}, 2, Dtype::f32, 2).weights == train_on({}, 1, Dtype::f32, 2).weights);
    // Balance is per pass, so two passes are another objective.
    CHECK(train_on({}, 1, Dtype::f32, 2).weights != train_on({}, 1, Dtype::f32, 1).weights);
}

TEST_CASE("simt trains as the cpu does, within rounding") {
    Trained cpu = train_on({DeviceKind::cpu, 0}, 1, Dtype::f32, 1), simt = train_on({DeviceKind::simt, 0}, 1, Dtype::f32, 1);
    // eps = 1e-3 keeps Adam smooth where gradients are near 0; then three steps carry the rounding of sums of about 100 terms, 1e-5 at
    // most.
    CHECK(tests::relative_error(simt.weights, cpu.weights) < 1e-5);
    CHECK(tests::relative_error(simt.losses, cpu.losses) < 1e-5);
}
