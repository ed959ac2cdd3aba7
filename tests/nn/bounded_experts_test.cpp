// Steps on simt whose ranks share experts without reading counts (engine/comm/pair_capacities.h): what did not fit is run again, and
// nothing tells.
#include "engine/comm/shares.h"
#include "engine/tensor/transfer.h"
#include "moe/methods/table.h"
#include "nn/trainer.h"
#include "nn/transformer_xl.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"
#include "tests/support/rank_training.h"

using namespace engine;

namespace {

constexpr Size kVocab = 11, kContext = 3, kSequences = 48;  // of a pass
constexpr int kSteps = 3, kPasses = 2;
constexpr Device kSimt{DeviceKind::simt, 0};

struct Trained {
    std::map<std::string, std::vector<double>> weights;  // and states
    std::vector<double> losses, memory;
    std::vector<int> repeated;  // passes of each step
};

std::unique_ptr<nn::LanguageModel> model_with(const char* method, const nn::OptionTable& options) {
    nn::TransformerXlOptions sizes{.vocab = kVocab, .channels = 6, .layers = 1, .heads = 2, .head_size = 3};
    return std::make_unique<nn::TransformerXl>(
        sizes, [&](const nn::LayerPlace& place) { return moe::make_feed_forward(moe::method_named(method), options, place); });
}

// A rank's sequences of a pass. In the second pass of the second step most are of one token, in the first of the third of another: their
// rows choose alike.
Tensor ids_of(const Exec& exec, const Shards& share, int step, int pass) {
    Size count = kSequences * kContext, own = count / share.total;
    std::vector<std::int32_t> all = tests::random_ids(count, kVocab, static_cast<std::uint64_t>(step * kPasses + pass));
    if (step == 1 && pass == 1) std::fill_n(all.begin(), count / 4 * 3, 4);
    if (step == 2 && pass == 0) std::fill_n(all.begin(), count / 4 * 3, 7);
    auto first = all.begin() + share.first * own;
    return from_host(exec, {kSequences / share.total * share.count, kContext}, Dtype::i32,
                     std::vector<std::int32_t>(first, first + share.count * own));
}

void append(const Exec& exec, std::vector<double>& to, const Tensor& tensor) {
    std::vector<double> values = to_host<double>(exec, tensor);
    to.insert(to.end(), values.begin(), values.end());
}

Trained train(const Exec& on, int ranks, int shards, const char* method, const nn::OptionTable& options) {
    Trained trained;
    run_virtual_ranks(ranks, [&](Communicator& communicator) {
        int rank = communicator.rank();
        Shards share = share_of(rank, ranks, shards);
        Exec exec = on;
        exec.communicator = &communicator;
        exec.shards = share;
        if (ranks > 1) exec.sharing = {.ranks = &communicator, .experts = ranks};
        std::unique_ptr<nn::LanguageModel> model = model_with(method, options);
        nn::ParameterStore store(exec, *model, Dtype::f32, 3, true);
        nn::Trainer trainer(exec, *model, store, {.eps = 1e-3, .weight_decay = 0.1, .clip = 0.5}, kPasses);
        std::vector<nn::ModelMemory> memories(kPasses, nn::ModelMemory{.layers = {}, .limit = kContext});
        for (int step = 0; step < kSteps; ++step) {
            int repeated = trainer.repeated_passes();
            trainer.begin(5, step, 1e-2);
            for (int pass = 0; pass < kPasses; ++pass) {
                // Shards are counted through the step.
                exec.shards.first = share.first + pass * shards;
                Tensor ids = ids_of(exec, share, step, pass);
                trainer.pass(ids, ids, memories[static_cast<std::size_t>(pass)], kPasses * kSequences * kContext);
            }
            // What a bias will be made from: it sees only the sign of it.
            for (const nn::State* state : store.states()) {
                if (rank > 0 || !state->sums.defined()) continue;
                append(exec, trained.losses, state->sums);
                trained.losses.push_back(state->rows);
            }
            trainer.finish();
            nn::StepReport report = trainer.read();
            communicator.any(false);
            if (rank > 0) continue;
            trained.repeated.push_back(trainer.repeated_passes() - repeated);
            trained.losses.insert(trained.losses.end(), {report.loss, report.gradient_norm});
            for (const auto& [name, value] : report.balance) trained.losses.push_back(value);
        }
        communicator.any(false);
        for (int pass = 0; pass < kPasses; ++pass) {
            for (const Tensor& layer : memories[static_cast<std::size_t>(pass)].layers) {
                Tensor rows = layer.reshaped({layer.shape().rows(), layer.shape().columns()});
                Tensor whole(exec, {rows_of_pass(exec, rows.size(0)), rows.size(1)}, rows.dtype());
                gather_shares(exec, whole, rows);
                if (rank == 0) append(exec, trained.memory, whole);
            }
        }
        for (const nn::ParameterStore::Place& place : store.places()) {
            tests::join_part(trained.weights[place.parameter->name], place, to_host<double>(exec, store.view(store.compute(), place)));
        }
        for (const nn::State* state : store.states()) {
            if (rank == 0 && is_floating(state->dtype)) append(exec, trained.weights[state->name], state->value);
        }
    });
    return trained;
}

nn::OptionTable options_of(std::initializer_list<std::pair<const char*, nn::OptionValue>> values) {
    nn::OptionTable table("ffn");
    for (const auto& [name, value] : values) table.set(name, value);
    return table;
}

}  // namespace

TEST_CASE_DEVICES("steps with passes that did not fit end in the bits of one rank: weights, biases, memory, losses") {
    if (exec.device.kind == DeviceKind::cpu) return;  // knows counts at once
    const Size one = 1, three = 3, eight = 8;
    struct Setting {
        int ranks;
        const char* method;
        nn::OptionTable options;
    };
    for (const Setting& setting :
         {Setting{2, "hash",
                  options_of({{"n_experts", eight}, {"expert_size", three}, {"k", one}, {"vocab", kVocab}, {"hidden_dropout", 0.3}})},
          Setting{4, "deepseek",
                  options_of({{"n_experts", eight}, {"expert_size", three}, {"k", one}, {"n_shared", one}, {"bias_rate", 0.1}})}}) {
        CAPTURE(setting.ranks);
        Trained alone = train(exec, 1, setting.ranks, setting.method, setting.options),
                many = train(exec, setting.ranks, setting.ranks, setting.method, setting.options);
        CHECK(many.repeated[0] == 0);
        CHECK(many.repeated[1] == 1);
        CHECK(many.losses == alone.losses);
        CHECK(many.memory == alone.memory);
        CHECK(many.weights == alone.weights);
    }
}

TEST_CASE("a step on simt reads the device once on each rank") {
    const int ranks = 2;
    for (const auto& [method, options] :
         {std::pair{"deepseek", options_of({{"n_experts", Size{4}}, {"expert_size", Size{3}}, {"k", Size{2}}, {"bias_rate", 0.01}})},
          std::pair{"avg-k",
                    options_of({{"n_experts", Size{4}}, {"expert_size", Size{3}}, {"k", Size{1}}, {"gate", std::string("sigmoid")}})}}) {
        CAPTURE(std::string(method));
        run_virtual_ranks(ranks, [&](Communicator& communicator) {
            Shards share = share_of(communicator.rank(), ranks, 2);
            Exec exec{.device = kSimt,
                      .pool = &pool_of(kSimt),
                      .communicator = &communicator,
                      .shards = share,
                      .sharing = {.ranks = &communicator, .experts = ranks}};
            std::unique_ptr<nn::LanguageModel> model = model_with(method, options);
            nn::ParameterStore store(exec, *model, Dtype::f32, 3, true);
            nn::Trainer trainer(exec, *model, store, {.clip = 0.5}, 1);
            nn::ModelMemory memory{.layers = {}, .limit = kContext};
            int looked_at = 0;
            for (int step = 0; step < 3; ++step) {
                int repeated = trainer.repeated_passes();
                communicator.any(false);
                long before = host_reads();
                communicator.any(false);
                Tensor ids = ids_of(exec, share, 0, 0);
                trainer.begin(5, step, 1e-4);
                trainer.pass(ids, ids, memory, kSequences * kContext);
                trainer.finish();
                communicator.any(false);
                // The first pass, and one that is run again, read counts.
                if (step == 0 || trainer.repeated_passes() > repeated) continue;
                CHECK(host_reads() - before == ranks);
                looked_at += 1;
            }
            CHECK(looked_at >= 1);
        });
    }
}
