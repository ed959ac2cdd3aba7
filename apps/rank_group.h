#pragma once
#include "apps/rank_environment.h"
#include "engine/base/error.h"
#include "engine/comm/transport.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace apps {

// An error that every rank of a group met at the same place: all leave in order, and the first rank tells.
class AgreedError : public engine::Error {
  public:
    using Error::Error;
};

// Something that must be the same on every rank.
struct Topic {
    std::string name;
    std::string text;
};

// The processes that train one model together; this one is a rank of them.
class RankGroup {
  public:
    // Joins the launcher's other ranks; null where there are none. `patience`: seconds that ranks wait for each other.
    static std::unique_ptr<RankGroup> join(const RankEnvironment& environment, double patience);

    // Of tensors on the host.
    engine::Communicator& communicator() { return *communicator_; }
    // This rank's device where all are told `device`: on GPUs its own. Collective; one that cannot have it is told for all.
    std::string device_of(const std::string& device);
    // The ranks as those of a GPU, or of simt where MOEGRAD_NCCL_LIBRARY names what to speak instead of NCCL; null for other devices.
    // Collective, after the device was set.
    std::unique_ptr<engine::Communicator> gpu_ranks(engine::Device device);
    int rank() const { return transport_->rank(); }
    int size() const { return transport_->size(); }
    bool is_first() const { return rank() == 0; }
    int local_size() const { return transport_->local_size(); }

    // Throws an AgreedError that names the first topic, rank and line which differ from rank 0's.
    void agree(const std::vector<Topic>& topics);
    // Every rank does it; where some fail, all throw the first one's error.
    void all_do(const std::function<void()>& body);
    // The first rank does it while the others wait; where it fails, all throw.
    void first_does(const std::function<void()>& body);
    // Runs body, whose result is the exit code; its errors are told and turned into an exit code, for every rank in time.
    int guard(const std::function<int()>& body);

  private:
    RankGroup(std::unique_ptr<engine::Transport> transport, const RankEnvironment& environment, double patience);

    std::unique_ptr<engine::Transport> transport_;
    std::unique_ptr<engine::Communicator> communicator_;
    int local_rank_;
    double patience_;
};

}  // namespace apps
