#include "engine/comm/transport.h"

#ifdef MOEGRAD_MPI

#include "engine/comm/process_place.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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
        if (!lost_) MPI_Finalize();
    }

    int rank() const override { return rank_; }
    int size() const override { return size_; }
    int local_size() const override { return count_here(places_, size_); }
    int local_rank() const override { return count_here(places_, rank_); }

    void exchange(std::string_view collective, const std::vector<Send>& sends, const std::vector<Receive>& receives) override {
        requests_.clear();
        peers_.clear();
        for (int r = 0; r < size_; ++r) {
            if (r != rank_) receive(collective, r, receives[static_cast<std::size_t>(r)]);
        }
        for (int r = 0; r < size_; ++r) {
            if (r != rank_) send(collective, r, sends[static_cast<std::size_t>(r)]);
        }
        Send own = sends[static_cast<std::size_t>(rank_)];
        Receive here = receives[static_cast<std::size_t>(rank_)];
        if (!own.empty() && own.data() != here.data()) std::memcpy(here.data(), own.data(), own.size());
        wait(collective);
    }

    [[noreturn]] void abandon(int code) override {
        std::fflush(nullptr);
        MPI_Abort(MPI_COMM_WORLD, code);
        _exit(code);
    }

  private:
    void receive(std::string_view collective, int from, Receive bytes) {
        for (std::size_t done = 0; done < bytes.size(); done += kLongest) {
            int count = static_cast<int>(std::min(kLongest, bytes.size() - done));
            check(MPI_Irecv(bytes.data() + done, count, MPI_BYTE, from, kTag, MPI_COMM_WORLD, &requests_.emplace_back()), collective);
            peers_.push_back(from);
        }
    }
    void send(std::string_view collective, int to, Send bytes) {
        for (std::size_t done = 0; done < bytes.size(); done += kLongest) {
            int count = static_cast<int>(std::min(kLongest, bytes.size() - done));
            check(MPI_Isend(bytes.data() + done, count, MPI_BYTE, to, kTag, MPI_COMM_WORLD, &requests_.emplace_back()), collective);
            peers_.push_back(to);
        }
    }

    // Asks MPI again and again instead of waiting inside it, which would last for ever where a rank is gone. At first without a pause where
    // every rank has a core, then leaving the core to others, after a while asleep in between.
    void wait(std::string_view collective) {
        Clock::time_point begin = Clock::now(), last_look = begin;
        for (;;) {
            int done = 0;
            statuses_.resize(requests_.size());
            check(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, statuses_.data()), collective);
            if (done != 0) return;
            Clock::time_point now = Clock::now();
            if (now - begin < eager_) continue;
            sched_yield();
            if (now - begin > std::chrono::milliseconds(50)) usleep(100);
            if (now - last_look < std::chrono::milliseconds(20)) continue;
            last_look = now;
            look_for_lost(collective, std::chrono::duration<double>(now - begin).count());
        }
    }
    void look_for_lost(std::string_view collective, double waited) {
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            int done = 0;
            MPI_Request_get_status(requests_[i], &done, MPI_STATUS_IGNORE);
            if (done != 0) continue;
            const ProcessPlace& place = places_[static_cast<std::size_t>(peers_[i])];
            lost_ = true;  // unless neither holds
            if (is_gone(place)) {
                throw RankLost(
                    fmt::format("[{}] rank {} died (process {}) while rank {} waited for it", collective, peers_[i], place.process, rank_));
            }
            if (waited > patience_) {
                throw RankLost(
                    fmt::format("[{}] rank {} (process {}) gave rank {} no answer for {} s; hint: --rank-timeout sets how long to wait",
                                collective, peers_[i], place.process, rank_, patience_));
            }
            lost_ = false;
        }
    }

    double patience_;
    std::chrono::microseconds eager_{0};
    int rank_ = 0, size_ = 1;
    std::vector<ProcessPlace> places_;
    std::vector<MPI_Request> requests_;
    std::vector<MPI_Status> statuses_;
    std::vector<int> peers_;  // of each request: a long send ends no sooner than its receiver takes it
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
