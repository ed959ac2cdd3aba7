#include "engine/base/visit.h"
#include "engine/comm/communicator.h"
#include "engine/kernels/elementwise.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace engine {
namespace {

// Where the ranks of one process meet. A baton passes from rank to rank: only its holder runs.
class Meeting {
  public:
    explicit Meeting(int ranks) : ranks_(static_cast<std::size_t>(ranks)) {}

    void wait_for_turn(int rank) {
        std::unique_lock lock(mutex_);
        ranks_[index(rank)].changed.wait(lock, [&] { return turn_ == rank; });
    }
    void finish(int rank, std::exception_ptr error) {
        ranks_[index(rank)].finished = true;
        if (error && !error_) error_ = error;
        hand_on(rank);
    }
    // Leaves something for every rank, or one thing for all, lets every other rank do the same, and returns in rank order what they left
    // for this one.
    std::vector<Tensor> exchange(int rank, std::vector<Tensor> parts, bool flag) {
        ranks_[index(rank)].parts = std::move(parts);
        ranks_[index(rank)].flag = flag;
        pass_round(rank);
        std::vector<Tensor> own;
        for (const Rank& each : ranks_) own.push_back(each.parts.size() == 1 ? each.parts[0] : each.parts[index(rank)]);
        return own;
    }
    bool any() const {
        for (const Rank& each : ranks_) {
            if (each.flag) return true;
        }
        return false;
    }
    // Until every rank has reached this point.
    void pass_round(int rank) {
        long round = ++ranks_[index(rank)].rounds;
        wait(rank, [&](const Rank& each) { return each.rounds >= round; });
    }
    // An exchange that is begun: whoever is the second of two ranks to begin it copies for both.
    void begin(Exec& exec, int rank, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) {
        auto number = static_cast<std::size_t>(ranks_[index(rank)].begun++ - through_);
        if (number == open_.size()) open_.emplace_back(ranks_.size());
        open_[number][index(rank)] = {sends, receives};
        for (std::size_t r = 0; r < ranks_.size(); ++r) {
            const Messages& other = open_[number][r];
            if (other.sends.empty()) continue;
            copy_message(exec, other.receives[index(rank)], sends[r], rank, static_cast<int>(r));
            if (r != index(rank)) copy_message(exec, receives[r], other.sends[index(rank)], static_cast<int>(r), rank);
        }
        long least = std::ranges::min_element(ranks_, {}, &Rank::begun)->begun;
        for (; through_ < least; ++through_) open_.pop_front();
    }
    long begun(int rank) const { return ranks_[index(rank)].begun; }
    // Until every rank has begun as many.
    void end(int rank, long exchanges) {
        if (through_ < exchanges) wait(rank, [&](const Rank& each) { return each.begun >= exchanges; });
    }
    // A round, after which nobody holds this rank's part any more: its memory's pool may go.
    void leave(int rank) {
        pass_round(rank);
        ranks_[index(rank)].parts.clear();
    }
    std::exception_ptr error() const { return error_; }

  private:
    struct Rank {
        std::vector<Tensor> parts;
        bool flag = false;
        bool finished = false;
        long rounds = 0, begun = 0;       // points of all ranks that it has reached, exchanges
        std::condition_variable changed;  // of its own: nobody else wakes up
    };
    struct Messages {
        std::vector<Tensor> sends, receives;
    };
    static void copy_message(Exec& exec, const Tensor& to, const Tensor& from, int sender, int receiver) {
        expect(from.defined() == to.defined(), "virtual_ranks", "ranks {} and {} disagree on an exchange", sender, receiver);
        if (from.defined() && from.address() != to.address()) copy(exec, to, from);
    }
    // Lets the others run until all are there.
    template <class IsThere>
    void wait(int rank, IsThere is_there) {
        do {
            hand_on(rank);
            wait_for_turn(rank);
            for (const Rank& each : ranks_) {
                expect(!each.finished || is_there(each), "virtual_ranks", "another rank ended while rank {} waited for it", rank);
            }
        } while (!std::ranges::all_of(ranks_, is_there));
    }
    static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
    // To the next rank that still runs.
    void hand_on(int rank) {
        int count = static_cast<int>(ranks_.size()), next = rank;
        for (int step = 1; step <= count; ++step) {
            next = (rank + step) % count;
            if (!ranks_[index(next)].finished) break;
        }
        {
            std::lock_guard lock(mutex_);
            turn_ = next;
        }
        ranks_[index(next)].changed.notify_one();
    }

    int turn_ = 0;
    std::mutex mutex_;
    std::vector<Rank> ranks_;
    long through_ = 0;                        // exchanges that all have begun
    std::deque<std::vector<Messages>> open_;  // of the others, by rank
    std::exception_ptr error_;
};

class VirtualRank final : public Communicator {
  public:
    VirtualRank(Meeting& meeting, int rank, int size) : meeting_(meeting), rank_(rank), size_(size) {}
    int rank() const override { return rank_; }
    int size() const override { return size_; }

    void exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) override {
        end_exchange(exec, begin_exchange(exec, collective, sends, receives));
    }
    Ticket begin_exchange(Exec& exec, std::string_view, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) override {
        meeting_.begin(exec, rank_, sends, receives);
        return static_cast<Ticket>(meeting_.begun(rank_));
    }
    void end_exchange(Exec&, Ticket ticket) override { meeting_.end(rank_, static_cast<long>(ticket)); }

    // Each rank sums one slice, in its own tensor, and takes the other slices from the others: a block is all the memory that it takes.
    void plain_sum(Exec& exec, const Tensor& sum) override {
        std::vector<Tensor> parts = meeting_.exchange(rank_, {sum}, false);
        for (const Range& block : blocks_of(sum, rank_)) {
            Tensor total = view(parts[0], block);
            for (std::size_t r = 1; r < parts.size(); ++r) total = added(exec, total, view(parts[r], block));
            copy(exec, view(sum, block), total);
        }
        meeting_.pass_round(rank_);
        for (int r = 0; r < size_; ++r) {
            if (r == rank_) continue;
            for (const Range& block : blocks_of(sum, r)) copy(exec, view(sum, block), view(parts[static_cast<std::size_t>(r)], block));
        }
        parts.clear();
        meeting_.leave(rank_);
    }
    bool has_plain_sum() const override { return true; }

    bool any(bool here) override {
        meeting_.exchange(rank_, {Tensor()}, here);
        bool result = meeting_.any();
        meeting_.leave(rank_);
        return result;
    }

  private:
    // Ranges are of elements of a tensor without padding between its rows; of rows of one with.
    static Tensor view(const Tensor& tensor, const Range& range) {
        if (tensor.is_packed()) return tensor.view_at(range.first, {range.elements}, range.elements);
        return tensor.view_at(range.first * tensor.row_stride(), {range.elements, tensor.shape().columns()}, tensor.row_stride());
    }
    // What rank r sums.
    std::vector<Range> blocks_of(const Tensor& tensor, int r) const {
        constexpr Size kBlock = Size{1} << 16;
        Size count = tensor.is_packed() ? tensor.shape().elements() : tensor.shape().rows(), slice = (count + size_ - 1) / size_;
        Size block = tensor.is_packed() ? kBlock : std::max<Size>(1, kBlock / tensor.shape().columns()),
             end = std::min(count, (r + 1) * slice);
        std::vector<Range> blocks;
        for (Size first = r * slice; first < end; first += block) blocks.push_back({first, std::min(block, end - first)});
        return blocks;
    }
    static Tensor added(Exec& exec, const Tensor& left, const Tensor& right) {
        Tensor sum(exec, left.shape(), left.dtype());
        visit(exec, sum.dtype(),
              [&]<class D, class T>(On<D, T>) { kernels::add<D, T>(exec, sum.rows<T>(), left.rows<T>(), right.rows<T>()); });
        return sum;
    }

    Meeting& meeting_;
    int rank_;
    int size_;
};

}  // namespace

void run_virtual_ranks(int ranks, const std::function<void(Communicator&)>& body) {
    Meeting meeting(ranks);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
        threads.emplace_back([&, rank] {
            meeting.wait_for_turn(rank);
            std::exception_ptr error;
            try {
                VirtualRank communicator(meeting, rank, ranks);
                body(communicator);
            } catch (...) { error = std::current_exception(); }
            meeting.finish(rank, error);
        });
    }
    for (std::thread& thread : threads) thread.join();
    if (meeting.error()) std::rethrow_exception(meeting.error());
}

}  // namespace engine
