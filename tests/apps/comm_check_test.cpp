#include "apps/comm_check.h"

#include "engine/base/error.h"
#include "engine/tensor/transfer.h"

#include <set>

#include <doctest/doctest.h>

using namespace engine;
using apps::CommChecks;

namespace {

// Ranks of which one gets a wrong last value from one collective.
class BrokenRanks final : public Communicator {
  public:
    BrokenRanks(Communicator& ranks, std::string broken, int victim) : ranks_(ranks), broken_(std::move(broken)), victim_(victim) {}
    int rank() const override { return ranks_.rank(); }
    int size() const override { return ranks_.size(); }
    void exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) override {
        ranks_.exchange(exec, collective, sends, receives);
    }
    void all_gather(Exec& exec, const Tensor& whole, const Tensor& part) override {
        ranks_.all_gather(exec, whole, part);
        // Not what the checks themselves tell each other.
        if (whole.dtype() != Dtype::f64) spoil(exec, whole, "all_gather");
    }
    void tree_sum(Exec& exec, const Tensor& sum) override {
        ranks_.tree_sum(exec, sum);
        spoil(exec, sum, "tree_sum");
    }
    void plain_sum(Exec& exec, const Tensor& sum) override {
        ranks_.plain_sum(exec, sum);
        spoil(exec, sum, "plain_sum");
    }
    bool any(bool here) override { return ranks_.any(here); }

  private:
    void spoil(Exec& exec, const Tensor& tensor, const std::string& collective) const {
        if (collective != broken_ || rank() != victim_) return;
        std::vector<double> values = to_host<double>(exec, tensor);
        values.back() += 1;
        copy_from_host(exec, tensor, values);
    }

    Communicator& ranks_;
    std::string broken_;
    int victim_;
};

// A rank whose sums are those of another order: within rounding of the tree's.
class OtherOrder final : public Communicator {
  public:
    explicit OtherOrder(Communicator& ranks) : ranks_(ranks) {}
    int rank() const override { return ranks_.rank(); }
    int size() const override { return ranks_.size(); }
    void exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) override {
        ranks_.exchange(exec, collective, sends, receives);
    }
    void all_gather(Exec& exec, const Tensor& whole, const Tensor& part) override { ranks_.all_gather(exec, whole, part); }
    void tree_sum(Exec& exec, const Tensor& sum) override { ranks_.plain_sum(exec, sum); }
    void plain_sum(Exec& exec, const Tensor& sum) override { ranks_.plain_sum(exec, sum); }
    bool any(bool here) override { return ranks_.any(here); }

  private:
    Communicator& ranks_;
};

CommChecks checks_of(Communicator& communicator) {
    Exec exec{.communicator = &communicator};
    return apps::check_collectives(exec);
}

}  // namespace

TEST_CASE("every collective of any number of ranks is exact, and the tree's bits do not depend on the number") {
    std::set<std::uint64_t> hashes;
    for (int ranks : {1, 2, 3, 5, 8}) {
        run_virtual_ranks(ranks, [&](Communicator& communicator) {
            CommChecks checks = checks_of(communicator);
            CHECK(checks.failures().empty());
            CHECK(checks.checks.size() > 20);
            hashes.insert(checks.tree_hash);
        });
    }
    CHECK(hashes.size() == 1);
}

TEST_CASE("a collective that is wrong on one rank is found, named, and known to all ranks") {
    for (const std::string broken : {"all_gather", "tree_sum", "plain_sum"}) {
        CAPTURE(broken);
        run_virtual_ranks(3, [&](Communicator& communicator) {
            BrokenRanks ranks(communicator, broken, 1);
            CommChecks checks = checks_of(ranks);
            REQUIRE_FALSE(checks.failures().empty());
            for (const apps::CommCheck& check : checks.checks) {
                bool gathers = broken == "all_gather" && check.collective == "gather_shares";
                if (check.exact()) continue;
                CHECK((check.collective == broken || gathers));
                CHECK(check.wrong_ranks == std::vector<int>{1});
            }
            CHECK(checks.failures().front() == broken + " of (1, 1) float32 on ranks 1");
        });
    }
}

TEST_CASE("a sum in another order than the tree's is told from it, though no integer is wrong") {
    run_virtual_ranks(4, [](Communicator& communicator) {
        OtherOrder ranks(communicator);
        CommChecks checks = checks_of(ranks);
        CHECK(checks.failures() == std::vector<std::string>{"tree_sum of the aligned tree, float32 on ranks 0, 1, 2, 3",
                                                            "tree_sum of the aligned tree, float64 on ranks 0, 1, 2, 3"});
    });
}
