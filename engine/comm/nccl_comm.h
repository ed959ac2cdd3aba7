#pragma once
#include "engine/base/device.h"
#include "engine/comm/nccl_library.h"
#include "engine/comm/process_place.h"
#include "engine/comm/transport.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace engine {

// A rank's end of NCCL. NCCL's kernels wait for ever for a rank that is gone, and whoever waits for the stream waits with them. So a thread
// of this class looks after the collectives in the stream: where NCCL reports an error, a rank's process has ended or the patience is over,
// it aborts them, and the next check() throws.
class NcclComm {
  public:
    // Collective. The id, made by rank 0, travels over `transport`, which also says which rank is missing where NCCL does not.
    // `patience`: seconds that a collective may take, this one among them. Throws Error, or RankLost.
    NcclComm(const nccl::Library& nccl, Transport& transport, Device device, double patience);
    ~NcclComm();
    NcclComm(const NcclComm&) = delete;
    NcclComm& operator=(const NcclComm&) = delete;

    // `calls`, which return NCCL's results, as one group: in the stream when this returns. Throws RankLost, or Error where NCCL refuses.
    void group(std::string_view collective, void* stream, const std::function<int(nccl::Comm)>& calls);
    // Throws RankLost or Error if the ranks cannot go on.
    void check();

  private:
    using Clock = std::chrono::steady_clock;
    using Lock = std::unique_lock<std::mutex>;
    struct Work {
        std::string collective;
        bool taken = false;     // it is in the stream
        void* event = nullptr;  // after it, there; none on the host, which has no streams
    };
    struct Loss {
        std::string collective, text;
        bool of_a_rank = false;  // and not this rank's own fault
        bool names_rank = false;
    };

    void watch();
    void look();
    void join_ranks(Lock& lock, const nccl::UniqueId& id);
    Work& begin(std::string_view collective);
    void forget_done();
    void settle(Lock& lock);
    void expect_taken(int result, std::string_view collective);
    void lose(Loss loss);
    void lose_by(int result);
    void leave(bool in_order);

    const nccl::Library& nccl_;
    Transport& transport_;
    Device device_;
    double patience_;
    std::vector<ProcessPlace> places_;
    std::mutex mutex_;
    nccl::Comm comm_ = nullptr;  // null once aborted
    std::deque<Work> works_;     // those that are not known to be done
    Clock::time_point since_;    // the first of them is the one that the ranks are at
    std::vector<void*> events_;  // free ones
    std::optional<Loss> loss_;
    bool ends_ = false;
    std::condition_variable end_;
    std::thread watcher_;
    int exceptions_;  // in flight when this was made
};

}  // namespace engine
