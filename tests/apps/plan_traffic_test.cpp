// What `plan` says a rank holds and sends, against virtual ranks and against the bytes that leave a process.
#include "apps/model_factory.h"
#include "apps/plan.h"
#include "apps/sharing.h"
#include "apps/step_layout.h"
#include "engine/base/threads.h"
#include "engine/comm/traffic.h"
#include "engine/comm/transport.h"
#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"
#include "nn/trainer.h"
#include "tests/support/many_ranks.h"

#include <algorithm>
#include <functional>

#include <doctest/doctest.h>

using namespace engine;
using namespace tests;

namespace {

// Another transport's exchanges; what goes to other ranks is counted by the collective that sends it.
class CountedTransport final : public Transport {
  public:
    explicit CountedTransport(Transport& transport) : transport_(transport) {}
    int rank() const override { return transport_.rank(); }
    int size() const override { return transport_.size(); }
    int local_size() const override { return transport_.local_size(); }
    int local_rank() const override { return transport_.local_rank(); }
    Ticket begin(std::string_view collective, const std::vector<Send>& sends, const std::vector<Receive>& receives) override {
        for (int r = 0; r < size(); ++r) {
            if (r != rank()) sent[std::string(collective)] += static_cast<Size>(sends[static_cast<std::size_t>(r)].size());
        }
        return transport_.begin(collective, sends, receives);
    }
    void end(Ticket exchange) override { transport_.end(exchange); }
    void advance() override { transport_.advance(); }
    [[noreturn]] void abandon(int code) override {
        transport_.abandon(code);
        std::abort();
    }

    std::map<std::string, Size> sent;

  private:
    Transport& transport_;
};

struct Model {
    const char* feed_forward;
    Arguments settings = {};
};
// Experts that no rank shares (what those that ranks share send depends on what tokens choose); tables of which touched rows are updated,
// whole or divided by columns.
constexpr const char* kExperts = "method = \"sigma-moe\"\nn_experts = 8\nexpert_size = 16\nk = 2\n";
constexpr const char* kPeer = "method = \"peer\"\nsub_keys = 5\nheads = 2\nk = 3\nquery_size = 6\nquery_norm = \"batch\"\nglu = true\n";
constexpr const char* kMemory = "method = \"memory-plus\"\nshare_values = true\nsub_keys = 5\nheads = 2\nk = 3\nquery_size = 6\n";
const std::vector<Model> kModels{
    {kExperts},
    {kPeer},
    {kPeer, {"parallel.table_shards=2"}},
    {kMemory, {"parallel.table_shards=2", "train.accumulate=2", "train.batch=16"}},
};

constexpr Size kVocab = 205, kContext = 32;
// Ranks of a cut get the whole blocks of the norm and rows of tables at their ends, some a block more than others: much, of so small a
// model.
constexpr double kOfCut = 0.05;

apps::Config small_config(const Model& model, int ranks, int zero) {
    apps::Config config = apps::parse_config(std::string("[ffn]\n") + model.feed_forward, "test");
    Arguments settings{"model.channels=64",        "model.layers=2", "model.heads=2",          "model.head_size=32",
                       "data.context=32",          "data.path=none", "train.batch=8",          "train.micro_batch=2",
                       "train.table_rows=touched", "train.clip=0.5", "train.weight_decay=0.01"};
    settings.insert(settings.end(), model.settings.begin(), model.settings.end());
    for (const std::string& setting : settings) apps::set_config(config, setting);
    config.parallel.ranks = ranks;
    config.parallel.zero = zero;
    return config;
}

// Two steps of one rank, as `train` takes them; `between` before the second, which has a memory.
void train_two_steps(const apps::Config& config, Communicator& ranks, Pool& pool,
                     const std::function<void(const nn::ParameterStore&)>& between) {
    Exec exec{.pool = &pool, .communicator = &ranks, .sharing = apps::sharing_of(config, &ranks)};
    apps::StepLayout layout = apps::step_layout(config, ranks.rank(), ranks.size());
    auto model = apps::make_model(config, kVocab);
    nn::ParameterStore store(exec, *model, apps::dtype_named(config.train.dtype), 0, true, nn::ParameterStore::Values::initial,
                             apps::cut_of(config));
    nn::Trainer trainer(exec, *model, store, apps::optimizer_options(config), layout.passes);
    std::vector<nn::ModelMemory> memories(static_cast<std::size_t>(layout.passes), {.layers = {}, .limit = kContext});
    for (int step = 0; step < 2; ++step) {
        if (step == 1) between(store);
        trainer.begin(0, step, 1e-3);
        for (int pass = 0; pass < layout.passes; ++pass) {
            exec.shards = layout.shards_of_pass(pass);
            Tensor ids = zeros(exec, {layout.sequences, kContext}, Dtype::i32);
            trainer.pass(ids, ids, memories[static_cast<std::size_t>(pass)], layout.step_tokens());
        }
        trainer.finish();
    }
}

// Every rank, as a virtual one, against the plan of the busiest.
void check_plan(const apps::Config& config) {
    apps::Plan plan = apps::make_plan(config, kVocab);
    int count = static_cast<int>(config.parallel.ranks);
    std::vector<double> peaks(static_cast<std::size_t>(count)), state(peaks.size());
    std::vector<Traffic> sent(peaks.size());
    run_virtual_ranks(count, [&](Communicator& communicator) {
        CountedRanks counted(communicator);
        Pool pool(Device{});
        auto rank = static_cast<std::size_t>(communicator.rank());
        Traffic before;
        train_two_steps(config, counted, pool, [&](const nn::ParameterStore& store) {
            state[rank] = static_cast<double>(store.bytes_of_values() + store.bytes_of_moments());
            before = counted.traffic();
        });
        const Traffic& now = counted.traffic();
        sent[rank] = {.sums = now.sums - before.sums,
                      .gathers = now.gathers - before.gathers,
                      .exchanges = now.exchanges - before.exchanges,
                      .sum_calls = now.sum_calls - before.sum_calls,
                      .gather_calls = now.gather_calls - before.gather_calls,
                      .exchange_calls = now.exchange_calls - before.exchange_calls};
        peaks[rank] = static_cast<double>(pool.peak_bytes());
    });
    for (double bytes : state) CHECK(bytes == static_cast<double>(plan.memory_bytes["parameters"] + plan.memory_bytes["optimizer"]));
    for (const Traffic& each : sent) {
        CHECK(each.gathers == plan.communication_bytes["gathers"]);
        CHECK(each.sum_calls == plan.communication_calls["gradients"]);
        CHECK(each.gather_calls == plan.communication_calls["gathers"]);
        CHECK(each.exchange_calls == plan.communication_calls["exchanges"]);
    }
    // The plan is the busiest rank's.
    const Traffic& busiest = sent[count == 3 ? 2 : 0];
    CHECK(busiest.sums == plan.communication_bytes["gradients"]);
    CHECK(busiest.exchanges == plan.communication_bytes["exchanges"]);
    for (const Traffic& each : sent)
        CHECK(static_cast<double>(each.total()) == doctest::Approx(static_cast<double>(busiest.total())).epsilon(kOfCut));
    double most = *std::max_element(peaks.begin(), peaks.end()), planned = static_cast<double>(plan.memory_total());
    CHECK(most >= 0.999 * planned);
    CHECK(most <= 1.10 * planned);
}

}  // namespace

TEST_CASE("a rank of any layout takes the memory and sends the bytes that were planned for it") {
    set_threads(1);
    for (const Model& model : kModels) {
        for (auto [count, dtype] : {std::pair{2, "float32"}, {3, "float32"}, {4, "float32"}, {4, "bfloat16"}}) {
            for (int zero : {0, 1}) {
                apps::Config config = small_config(model, count, zero);
                if (count % config.parallel.table_shards != 0) continue;
                config.train.dtype = dtype;
                INFO(std::string(model.feed_forward), std::string(dtype), ", ", count, " ranks, zero ", zero);
                check_plan(config);
            }
        }
    }
    set_threads(2);
}

TEST_CASE("as an MPI rank: the bytes of a step" * doctest::skip()) {
    set_threads(1);
    std::unique_ptr<Transport> mpi = mpi_transport(20);
    CountedTransport transport(*mpi);
    std::unique_ptr<Communicator> communicator = process_ranks(transport);
    for (const Model& model : kModels) {
        for (int zero : {0, 1}) {
            INFO(std::string(model.feed_forward), communicator->rank(), " of ", communicator->size(), ", zero ", zero);
            apps::Config config = small_config(model, communicator->size(), zero);
            apps::Plan plan = apps::make_plan(config, kVocab);
            Pool pool(Device{});
            train_two_steps(config, *communicator, pool, [&](const nn::ParameterStore&) { transport.sent.clear(); });
            Size sent = 0, planned = 0;
            for (const auto& [collective, bytes] : transport.sent) sent += bytes;
            for (const auto& [kind, bytes] : plan.communication_bytes) planned += bytes;
            // The first rank is the one that is planned.
            CHECK(static_cast<double>(sent) ==
                  doctest::Approx(static_cast<double>(planned)).epsilon(communicator->rank() == 0 ? 1e-12 : kOfCut));
            CHECK(transport.sent["all_gather"] >= plan.communication_bytes["gathers"]);
            CHECK(transport.sent["tree_sum"] > 0);
        }
    }
}

TEST_CASE("what leaves an MPI rank in a step is what was planned, to the byte, its optimizer's state whole or cut") {
    if (!can_run_ranks()) return;
    for (int ranks : {2, 4}) {
        CAPTURE(ranks);
        CHECK(run_case_on_ranks(ranks, "as an MPI rank: the bytes of a step") == 0);
    }
}
