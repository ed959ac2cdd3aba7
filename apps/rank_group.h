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

    engine::Communicator& communicator() { return *communicator_; }
    int rank() const { return transport_->rank(); }
    int size() const { return transport_->size(); }
    bool is_first() const { return rank() == 0; }
    int local_size() const { return transport_->local_size(); }

    // Throws an AgreedError that names the first topic, rank and line which differ from rank 0's.
    void agree(const std::vector<Topic>& topics);
    // The first rank does it while the others wait; where it fails, all throw.
    void first_does(const std::function<void()>& body);
    // Runs body, whose result is the exit code; its errors are told and turned into an exit code, for every rank in time.
    int guard(const std::function<int()>& body);

  private:
    explicit RankGroup(std::unique_ptr<engine::Transport> transport);

    std::unique_ptr<engine::Transport> transport_;
    std::unique_ptr<engine::Communicator> communicator_;
};

}  // namespace apps
