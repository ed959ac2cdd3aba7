#include "engine/comm/transport.h"

#ifdef MOEGRAD_MPI

#include "engine/comm/process_place.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <thread>

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#include <sched.h>
#include <unistd.h>

namespace engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTag = 7;
constexpr std::size_t kLongest = std::size_t{1} << 30;  // bytes of one message: MPI counts in int

void check(int result, std::string_view collective) {
    if (result == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(result, text, &length);
    fail(collective, "MPI failed: {}; hint: ranks that disagree on a size or on the order of their collectives end so",
         std::string_view(text, static_cast<std::size_t>(length)));
}

class Mpi final : public Transport {
  public:
    explicit Mpi(double patience) : patience_(patience) {
        int provided = 0;
        check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "mpi");
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
        MPI_Comm_size(MPI_COMM_WORLD, &size_);
        ProcessPlace own = process_place();
        places_.resize(static_cast<std::size_t>(size_));
        check(MPI_Allgather(&own, sizeof own, MPI_BYTE, places_.data(), sizeof own, MPI_BYTE, MPI_COMM_WORLD), "mpi");
        if (local_size() <= static_cast<int>(std::thread::hardware_concurrency())) eager_ = std::chrono::milliseconds(2);
    }
    ~Mpi() override {
        if (!lost_ && under_way_.empty()) MPI_Finalize();
    }

    int rank() const override { return rank_; }
    int size() const override { return size_; }
    int local_size() const override { return count_here(places_, size_); }
    int local_rank() const override { return count_here(places_, rank_); }

    Ticket begin(std::string_view collective, const std::vector<Send>& sends, const std::vector<Receive>& receives) override {
        Exchange& own = under_way_.emplace_back(Exchange{.number = ++begun_, .collective = std::string(collective)});
        for (int r = 0; r < size_; ++r) {
            if (r != rank_) receive(own, r, receives[static_cast<std::size_t>(r)]);
        }
        for (int r = 0; r < size_; ++r) {
            if (r != rank_) send(own, r, sends[static_cast<std::size_t>(r)]);
        }
        Send out = sends[static_cast<std::size_t>(rank_)];
        Receive in = receives[static_cast<std::size_t>(rank_)];
        if (!out.empty() && out.data() != in.data()) std::memcpy(in.data(), out.data(), out.size());
        return own.number;
    }
    void end(Ticket exchange) override {
        for (Exchange& each : under_way_) {
            if (each.number == exchange) wait(each);
        }
        forget_done();
    }
    void advance() override {
        for (Exchange& each : under_way_) is_done(each);
        forget_done();
    }

    [[noreturn]] void abandon(int code) override {
        std::fflush(nullptr);
        MPI_Abort(MPI_COMM_WORLD, code);
        _exit(code);
    }

  private:
    // All messages have one tag: between two ranks they match in the order in which they were begun.
    struct Exchange {
        Ticket number;
        std::string collective;
        std::vector<MPI_Request> requests = {};  // none once it is through
        std::vector<int> peers = {};             // of each: a long send ends no sooner than its receiver takes it
    };

    static void receive(Exchange& own, int from, Receive bytes) {
        for (std::size_t done = 0; done < bytes.size(); done += kLongest) {
            int count = static_cast<int>(std::min(kLongest, bytes.size() - done));
            check(MPI_Irecv(bytes.data() + done, count, MPI_BYTE, from, kTag, MPI_COMM_WORLD, &own.requests.emplace_back()),
                  own.collective);
            own.peers.push_back(from);
        }
    }
    static void send(Exchange& own, int to, Send bytes) {
        for (std::size_t done = 0; done < bytes.size(); done += kLongest) {
            int count = static_cast<int>(std::min(kLongest, bytes.size() - done));
            check(MPI_Isend(bytes.data() + done, count, MPI_BYTE, to, kTag, MPI_COMM_WORLD, &own.requests.emplace_back()), own.collective);
            own.peers.push_back(to);
        }
    }

    bool is_done(Exchange& own) {
        if (own.requests.empty()) return true;
        int done = 0;
        statuses_.resize(own.requests.size());
        check(MPI_Testall(static_cast<int>(own.requests.size()), own.requests.data(), &done, statuses_.data()), own.collective);
        if (done != 0) own.requests.clear();
        return done != 0;
    }
    void forget_done() {
        while (!under_way_.empty() && under_way_.front().requests.empty()) under_way_.pop_front();
    }

    // Asks MPI again and again instead of waiting inside it, which would last for ever where a rank is gone. At first without a pause where
    // every rank has a core, then leaving the core to others, after a while asleep in between.
    void wait(Exchange& own) {
        Clock::time_point begin = Clock::now(), last_look = begin;
        while (!is_done(own)) {
            Clock::time_point now = Clock::now();
            if (now - begin < eager_) continue;
            sched_yield();
            if (now - begin > std::chrono::milliseconds(50)) usleep(100);
            if (now - last_look < std::chrono::milliseconds(20)) continue;
            last_look = now;
            look_for_lost(own, std::chrono::duration<double>(now - begin).count());
        }
    }
    void look_for_lost(const Exchange& own, double waited) {
        for (std::size_t i = 0; i < own.requests.size(); ++i) {
            int done = 0, peer = own.peers[i];
            MPI_Request_get_status(own.requests[i], &done, MPI_STATUS_IGNORE);
            if (done != 0) continue;
            const ProcessPlace& place = places_[static_cast<std::size_t>(peer)];
            lost_ = true;  // unless neither holds
            if (is_gone(place)) {
                throw RankLost(
                    fmt::format("[{}] rank {} died (process {}) while rank {} waited for it", own.collective, peer, place.process, rank_));
            }
            if (waited > patience_) {
                throw RankLost(
                    fmt::format("[{}] rank {} (process {}) gave rank {} no answer for {} s; hint: --rank-timeout sets how long to wait",
                                own.collective, peer, place.process, rank_, patience_));
            }
            lost_ = false;
        }
    }

    double patience_;
    std::chrono::microseconds eager_{0};
    int rank_ = 0, size_ = 1;
    std::vector<ProcessPlace> places_;
    std::deque<Exchange> under_way_;
    Ticket begun_ = 0;
    std::vector<MPI_Status> statuses_;
    bool lost_ = false;
};

}  // namespace

std::unique_ptr<Transport> mpi_transport(double patience) { return std::make_unique<Mpi>(patience); }
bool mpi_is_built() { return true; }

}  // namespace engine

#else

namespace engine {

std::unique_ptr<Transport> mpi_transport(double) {
    fail("mpi", "this program was built without MPI; hint: install libopenmpi-dev (tools/install ranks), then configure and build again");
}
bool mpi_is_built() { return false; }

}  // namespace engine

#endif
