// What `plan` says a step sends, against the bytes that leave a process.
#include "apps/model_factory.h"
#include "apps/plan.h"
#include "apps/step_layout.h"
#include "engine/comm/transport.h"
#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"
#include "nn/trainer.h"
#include "tests/support/many_ranks.h"

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
    void exchange(std::string_view collective, const std::vector<Send>& sends, const std::vector<Receive>& receives) override {
        for (int r = 0; r < size(); ++r) {
            if (r != rank()) sent[std::string(collective)] += static_cast<Size>(sends[static_cast<std::size_t>(r)].size());
        }
        transport_.exchange(collective, sends, receives);
    }
    [[noreturn]] void abandon(int code) override {
        transport_.abandon(code);
        std::abort();
    }

    std::map<std::string, Size> sent;

  private:
    Transport& transport_;
};

apps::Config small_recipe(int ranks, int zero) {
    apps::Config config = apps::load_config("apps/configs/e8-sigma-moe.toml");
    for (const char* setting : {"model.channels=64", "model.layers=3", "model.heads=2", "model.head_size=32", "data.context=32",
                                "train.batch=4", "train.micro_batch=1", "train.dtype=float32"}) {
        apps::set_config(config, setting);
    }
    config.parallel.ranks = ranks;
    config.parallel.zero = zero;
    return config;
}

}  // namespace

TEST_CASE("as an MPI rank: the bytes of a step" * doctest::skip()) {
    std::unique_ptr<Transport> mpi = mpi_transport(20);
    CountedTransport transport(*mpi);
    std::unique_ptr<Communicator> communicator = process_ranks(transport);
    int ranks = communicator->size();
    for (int zero : {0, 1}) {
        apps::Config config = small_recipe(ranks, zero);
        apps::Plan plan = apps::make_plan(config, 205);
        Pool pool(Device{});
        {
            Exec exec{.pool = &pool, .communicator = communicator.get()};
            apps::StepLayout layout = apps::step_layout(config, communicator->rank(), ranks);
            auto model = apps::make_model(config, 205);
            nn::ParameterStore store(exec, *model, Dtype::f32, 0, true, nn::ParameterStore::Values::loaded, apps::cut_of(config));
            nn::Trainer trainer(exec, *model, store, apps::optimizer_options(config), 1);
            nn::ModelMemory memory{.layers = {}, .limit = 32};
            for (int step = 0; step < 2; ++step) {
                transport.sent.clear();
                trainer.begin(0, step, 1e-3);
                exec.shards = layout.shards_of_pass(0);
                Tensor ids = zeros(exec, {layout.sequences, 32}, Dtype::i32);
                trainer.pass(ids, ids, memory, layout.step_tokens());
                trainer.finish();
            }
            memory.clear();
        }
        // The first rank is the one that is planned; of a cut, others may begin or end with a few elements more.
        auto planned = static_cast<double>(plan.communication_bytes["gradients"]);
        CHECK(static_cast<double>(transport.sent["tree_sum"]) ==
              doctest::Approx(planned).epsilon(communicator->rank() == 0 ? 1e-12 : 0.01));
        if (communicator->rank() == 0) CHECK(transport.sent["gradient_norm"] == plan.communication_bytes["exchanges"]);
        CHECK(transport.sent["all_gather"] == plan.communication_bytes["gathers"]);
        CHECK(transport.sent["tree_sum"] > 0);
    }
}

TEST_CASE("what leaves an MPI rank in a step is what was planned, to the byte, its optimizer's state whole or cut") {
    if (!can_run_ranks()) return;
    for (int ranks : {2, 4}) {
        CAPTURE(ranks);
        CHECK(run_case_on_ranks(ranks, "as an MPI rank: the bytes of a step") == 0);
    }
}
