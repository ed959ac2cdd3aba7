#include "engine/comm/nccl_comm.h"

#include "engine/comm/transport_gather.h"
#include "engine/cuda/runtime.h"

#include <exception>
#include <utility>

#include <sched.h>
#include <unistd.h>

namespace engine {
namespace {

// What NCCL returns where another rank's end, or the network to it, is gone.
constexpr int kSystemError = 2, kRemoteError = 6;

bool is_fine(int result) { return result == nccl::kSuccess || result == nccl::kInProgress; }

// Throws RankLost where a rank does not answer.
void name_lost(Transport& transport, std::string_view collective) {
    try {
        gathered(transport, collective, std::byte{0});
    } catch (const RankLost&) { throw; } catch (const Error&) {
    }  // a rank is elsewhere, and alive
}

// Rank 0's, on every rank.
nccl::UniqueId id_of_ranks(const nccl::Library& nccl, Transport& transport) {
    nccl::UniqueId own{};
    if (transport.rank() == 0) {
        int result = nccl.get_unique_id(&own);
        expect(result == nccl::kSuccess, "nccl", "rank 0 cannot listen for the others: {}; hint: NCCL_SOCKET_IFNAME names an interface",
               nccl.told(result, nullptr));
    }
    return gathered(transport, "nccl", own)[0];
}

}  // namespace

NcclComm::NcclComm(const nccl::Library& nccl, Transport& transport, Device device, double patience)
    : nccl_(nccl), transport_(transport), device_(device), patience_(patience), exceptions_(std::uncaught_exceptions()) {
    places_ = gathered(transport, "nccl", process_place());
    nccl::UniqueId id = id_of_ranks(nccl, transport);
    try {
        Lock lock(mutex_);
        join_ranks(lock, id);
    } catch (...) {
        leave(false);
        throw;
    }
}

NcclComm::~NcclComm() { leave(std::uncaught_exceptions() == exceptions_); }

void NcclComm::join_ranks(Lock& lock, const nccl::UniqueId& id) {
    nccl::Config config;
    config.blocking = 0;
    Work& own = begin("nccl");
    int result = nccl_.init(&comm_, transport_.size(), id, transport_.rank(), &config);
    expect(is_fine(result) && comm_ != nullptr, "nccl", "rank {} cannot join the others: {}; hint: NCCL_DEBUG=INFO says more",
           transport_.rank(), nccl_.told(result, nullptr));
    watcher_ = std::thread([this] { watch(); });
    settle(lock);
    own.taken = true;
}

// In order: after the others have done what this rank asked of them. Otherwise nobody is waited for.
void NcclComm::leave(bool in_order) {
    {
        Lock lock(mutex_);
        if (comm_ != nullptr && in_order) {
            try {
                Work& own = begin("nccl");
                expect_taken(nccl_.finalize(comm_), "nccl");
                settle(lock);
                own.taken = true;
                nccl_.destroy(std::exchange(comm_, nullptr));
            } catch (const std::exception&) {}  // a rank that was lost after the last collective changes nothing
        }
        if (comm_ != nullptr) nccl_.abort(std::exchange(comm_, nullptr));
        ends_ = true;
    }
    end_.notify_all();
    if (watcher_.joinable()) watcher_.join();
    for (void* event : events_) cuda::destroy_event(event);
    for (Work& work : works_) {
        if (work.event != nullptr) cuda::destroy_event(work.event);
    }
}

void NcclComm::group(std::string_view collective, void* stream, const std::function<int(nccl::Comm)>& calls) {
    check();
    Lock lock(mutex_);
    if (comm_ == nullptr) {
        lock.unlock();
        check();
    }
    Work& own = begin(collective);
    int result = nccl_.group_start();
    if (is_fine(result)) result = calls(comm_);
    int ended = nccl_.group_end();
    expect_taken(is_fine(result) ? ended : result, collective);
    settle(lock);
    if (!device_.on_host()) {
        if (events_.empty()) events_.push_back(cuda::make_event());
        own.event = events_.back();
        events_.pop_back();
        cuda::record(own.event, stream);
    }
    own.taken = true;
}

NcclComm::Work& NcclComm::begin(std::string_view collective) {
    forget_done();
    if (works_.empty()) since_ = Clock::now();
    return works_.emplace_back(Work{.collective = std::string(collective)});
}

void NcclComm::expect_taken(int result, std::string_view collective) {
    if (is_fine(result)) return;
    works_.pop_back();
    fail(collective, "NCCL refuses rank {}'s call: {}; hint: NCCL_DEBUG=INFO says more", transport_.rank(), nccl_.told(result, comm_));
}

// Until NCCL has put into the stream what it was given: at once, but for the first time that two ranks speak to each other.
void NcclComm::settle(Lock& lock) {
    Clock::time_point begin = Clock::now();
    for (;;) {
        if (comm_ != nullptr) {
            int state = nccl::kSuccess, result = nccl_.get_async_error(comm_, &state);
            if (result != nccl::kSuccess) state = result;
            if (state == nccl::kSuccess) return;
            if (state != nccl::kInProgress) lose_by(state);
        }
        lock.unlock();
        check();
        Clock::now() - begin < std::chrono::milliseconds(2) ? sched_yield() : usleep(200);
        lock.lock();
    }
}

void NcclComm::check() {
    std::optional<Loss> loss;
    {
        Lock lock(mutex_);
        loss = loss_;
    }
    if (!loss) return;
    if (!loss->of_a_rank) throw Error(fmt::format("[{}] {}", loss->collective, loss->text));
    // NCCL does not say which; the transport finds out, and throws.
    if (!loss->names_rank) name_lost(transport_, loss->collective);
    throw RankLost(fmt::format("[{}] {}", loss->collective, loss->text));
}

void NcclComm::watch() {
    if (!device_.on_host()) cuda::set_device(device_.index);
    Lock lock(mutex_);
    while (!ends_) {
        if (comm_ != nullptr) look();
        end_.wait_for(lock, std::chrono::milliseconds(20));
    }
}

void NcclComm::forget_done() {
    while (!works_.empty() && works_.front().taken && (works_.front().event == nullptr || cuda::is_done(works_.front().event))) {
        if (works_.front().event != nullptr) events_.push_back(works_.front().event);
        works_.pop_front();
        since_ = Clock::now();
    }
}

void NcclComm::look() {
    forget_done();
    if (works_.empty()) return;
    int state = nccl::kSuccess, result = nccl_.get_async_error(comm_, &state);
    if (result != nccl::kSuccess) state = result;
    if (!is_fine(state)) return lose_by(state);
    double waited = std::chrono::duration<double>(Clock::now() - since_).count();
    if (waited < 0.05) return;
    std::string collective = works_.front().collective;
    for (std::size_t r = 0; r < places_.size(); ++r) {
        if (!is_gone(places_[r])) continue;
        return lose({.collective = collective,
                     .text = fmt::format("rank {} died (process {}) while rank {} waited for it", r, places_[r].process, transport_.rank()),
                     .of_a_rank = true,
                     .names_rank = true});
    }
    if (waited < patience_) return;
    lose({.collective = collective,
          .text = fmt::format("a rank gave rank {} no answer for {} s, and answers now; hint: --rank-timeout sets how long to wait",
                              transport_.rank(), patience_),
          .of_a_rank = true});
}

void NcclComm::lose_by(int result) {
    lose({.collective = works_.empty() ? "nccl" : works_.front().collective,
          .text = fmt::format("rank {}: NCCL failed: {}; hint: NCCL_DEBUG=INFO says more", transport_.rank(), nccl_.told(result, comm_)),
          .of_a_rank = result == kSystemError || result == kRemoteError});
}

void NcclComm::lose(Loss loss) {
    loss_ = std::move(loss);
    nccl_.abort(std::exchange(comm_, nullptr));
    for (Work& work : works_) {
        if (work.event != nullptr) events_.push_back(work.event);
    }
    works_.clear();
}

}  // namespace engine
