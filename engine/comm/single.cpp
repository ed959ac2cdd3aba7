#include "engine/comm/communicator.h"
#include "engine/tensor/transfer.h"

namespace engine {
namespace {

class Single final : public Communicator {
  public:
    int rank() const override { return 0; }
    int size() const override { return 1; }
    void all_gather(Exec& exec, const Tensor& whole, const Tensor& part) override { copy(exec, whole, part); }
    void tree_sum(Exec&, const Tensor&) override {}
    bool any(bool here) override { return here; }
};

}  // namespace

std::unique_ptr<Communicator> single_rank() { return std::make_unique<Single>(); }

}  // namespace engine
