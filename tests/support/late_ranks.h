#pragma once
#include "engine/comm/communicator.h"

#include <map>
#include <utility>
#include <vector>

namespace tests {

// Other ranks' exchanges, each made as late as may be: at its end. And their tickets as they were begun, and negative as they were ended.
class LateRanks final : public engine::Communicator {
  public:
    explicit LateRanks(engine::Communicator& ranks) : ranks_(ranks) {}
    int rank() const override { return ranks_.rank(); }
    int size() const override { return ranks_.size(); }
    void exchange(engine::Exec& exec, std::string_view collective, const std::vector<engine::Tensor>& sends,
                  const std::vector<engine::Tensor>& receives) override {
        ranks_.exchange(exec, collective, sends, receives);
    }
    Ticket begin_exchange(engine::Exec&, std::string_view, const std::vector<engine::Tensor>& sends,
                          const std::vector<engine::Tensor>& receives) override {
        events.push_back(static_cast<int>(++begun_));
        late_[begun_] = {sends, receives};
        return begun_;
    }
    void end_exchange(engine::Exec& exec, Ticket ticket) override {
        events.push_back(-static_cast<int>(ticket));
        auto [sends, receives] = late_.extract(ticket).mapped();
        ranks_.exchange(exec, "late", sends, receives);
    }
    bool any(bool here) override { return ranks_.any(here); }
    std::size_t under_way() const { return late_.size(); }

    std::vector<int> events;

  private:
    engine::Communicator& ranks_;
    Ticket begun_ = 0;
    std::map<Ticket, std::pair<std::vector<engine::Tensor>, std::vector<engine::Tensor>>> late_;
};

}  // namespace tests
