#include "engine/comm/communicator.h"
#include "engine/tensor/transfer.h"

namespace engine {
namespace {

class Single final : public Communicator {
  public:
    int rank() const override { return 0; }
    int size() const override { return 1; }
    void exchange(Exec& exec, std::string_view, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) override {
        if (sends[0].defined() && sends[0].address() != receives[0].address()) copy(exec, receives[0], sends[0]);
    }
    bool any(bool here) override { return here; }
};

class Dry final : public Communicator {
  public:
    Dry(int rank, int size) : rank_(rank), size_(size) {}
    int rank() const override { return rank_; }
    int size() const override { return size_; }
    void exchange(Exec&, std::string_view, const std::vector<Tensor>&, const std::vector<Tensor>&) override {}
    void all_gather(Exec&, const Tensor&, const Tensor&) override {}
    bool any(bool here) override { return here; }

  private:
    int rank_, size_;
};

}  // namespace

std::unique_ptr<Communicator> single_rank() { return std::make_unique<Single>(); }

std::unique_ptr<Communicator> dry_rank(int rank, int ranks) { return std::make_unique<Dry>(rank, ranks); }

}  // namespace engine
