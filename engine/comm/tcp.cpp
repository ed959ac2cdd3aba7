#include "engine/comm/process_place.h"
#include "engine/comm/tcp_links.h"
#include "engine/comm/transport.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <thread>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace engine {
namespace {

using Clock = std::chrono::steady_clock;

// A message is its length, so that ends that disagree find out, and its bytes. In place of a length: the last word of a rank that gives up,
// with the rank that it lost plus one, or 0.
constexpr std::uint64_t kGivesUp = 0xffffffff'00000000;

// A message on its way.
struct Flow {
    std::uint64_t length = 0;
    std::size_t bytes = 0;  // without the length
    std::size_t done = 0;   // of both
    std::size_t left() const { return sizeof length + bytes - done; }
};
struct Outgoing : Flow {
    Transport::Send from;
};
struct Incoming : Flow {
    Transport::Receive to;
    bool gives_up() const { return done >= sizeof length && length >= kGivesUp; }
};

// A link carries the messages of one exchange after those of the last.
struct Peer {
    Socket link;
    ProcessPlace place;
    std::deque<Outgoing> out;
    std::deque<Incoming> in;
    Clock::time_point moved;    // the last byte, either way
    std::size_t all_bytes = 0;  // that ever moved
    bool ended = false;         // the link
    bool knows = false;         // this rank's last word
    bool ahead = false;         // in an exchange that this rank has not begun, or at its end
    bool is_done() const { return out.empty() && in.empty(); }
};

class Tcp final : public Transport {
  public:
    Tcp(const TcpMeeting& meeting, double patience) : patience_(patience), rank_(meeting.rank) {
        for (Socket& link : connect_ranks(meeting)) {
            Peer& peer = peers_.emplace_back();
            peer.link = std::move(link);
        }
        ProcessPlace own = process_place();
        std::vector<ProcessPlace> places(peers_.size());
        std::vector<Send> sends(peers_.size(), std::as_bytes(std::span(&own, 1)));
        std::vector<Receive> receives;
        receives.reserve(places.size());
        for (ProcessPlace& place : places) receives.push_back(std::as_writable_bytes(std::span(&place, 1)));
        exchange("meeting", sends, receives);
        for (std::size_t r = 0; r < peers_.size(); ++r) peers_[r].place = places[r];
        local_size_ = count_here(places, size());
        local_rank_ = count_here(places, rank_);
        if (local_size_ <= static_cast<int>(std::thread::hardware_concurrency())) eager_ = std::chrono::milliseconds(2);
    }

    int rank() const override { return rank_; }
    int size() const override { return static_cast<int>(peers_.size()); }
    int local_size() const override { return local_size_; }
    int local_rank() const override { return local_rank_; }

    Ticket begin(std::string_view collective, const std::vector<Send>& sends, const std::vector<Receive>& receives) override {
        names_.emplace_back(collective);
        begun_ += 1;
        for (int r = 0; r < size(); ++r) {
            Send out = sends[index(r)];
            Receive in = receives[index(r)];
            if (r == rank_) {
                if (!out.empty() && out.data() != in.data()) std::memcpy(in.data(), out.data(), out.size());
                continue;
            }
            Peer& peer = peers_[index(r)];
            if (peer.is_done()) peer.moved = Clock::now();
            peer.ahead = false;
            peer.out.push_back({{.length = out.size(), .bytes = out.size()}, out});
            peer.in.push_back({{.bytes = in.size()}, in});
        }
        advance();
        return begun_;
    }
    void end(Ticket exchange) override {
        waiting_ = exchange;
        since_ = Clock::now();
        while (!step()) {
            if (Clock::now() - since_ > eager_) sleep();
        }
        waiting_ = 0;
    }
    void advance() override { step(); }

    [[noreturn]] void abandon(int code) override {
        say_last_word();
        std::fflush(nullptr);
        _exit(code);
    }

  private:
    static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

    // The last exchange whose messages with a peer are through.
    Ticket through(const Peer& peer) const { return begun_ - std::max(peer.out.size(), peer.in.size()); }
    const std::string& name_of(Ticket exchange) const { return names_[static_cast<std::size_t>(exchange + names_.size() - begun_ - 1)]; }
    // The exchange that a peer is at; of one that is through all, the one that is waited for.
    const std::string& name_with(const Peer& peer) const {
        static const std::string kNone = "exchange";
        Ticket at = peer.is_done() ? waiting_ : through(peer) + 1;
        return at + names_.size() > begun_ ? name_of(at) : kNone;
    }

    // Moves what can be moved; true once the exchange that is waited for is through.
    bool step() {
        Clock::time_point now = Clock::now();
        bool all = true;
        Ticket least = begun_;
        for (int r = 0; r < size(); ++r) {
            if (r == rank_) continue;
            Peer& peer = peers_[index(r)];
            std::size_t before = peer.all_bytes;
            push(peer);
            pull(peer);
            if (peer.all_bytes > before) peer.moved = now;
            if (!peer.in.empty()) {
                const Incoming& in = peer.in.front();
                if (in.gives_up()) gave_up(r, in.length);
                expect(in.done < sizeof in.length || in.length == in.bytes, name_with(peer),
                       "ranks disagree: rank {} sends {} bytes, rank {} expects {}", r, in.length, rank_, in.bytes);
            }
            least = std::min(least, through(peer));
            all = all && through(peer) >= waiting_;
        }
        for (int r = 0; r < size() && !all; ++r) {
            Peer& peer = peers_[index(r)];
            if (r != rank_ && (peer.is_done() || peer.ended)) listen_for_end(r);
        }
        for (int r = 0; r < size(); ++r) {
            Peer& peer = peers_[index(r)];
            if (r == rank_ || peer.is_done()) continue;
            bool late = through(peer) < waiting_ && now - std::max(peer.moved, since_) > std::chrono::duration<double>(patience_);
            if (peer.ended || late) lose(r, peer.ended);
        }
        while (!names_.empty() && begun_ - names_.size() < least) names_.pop_front();
        return all;
    }
    // Until a link has something to read or room to write.
    void sleep() {
        std::vector<pollfd> links;
        for (int r = 0; r < size(); ++r) {
            const Peer& peer = peers_[index(r)];
            int events = (peer.out.empty() ? 0 : POLLOUT) | (!peer.in.empty() || !peer.ahead ? POLLIN : 0);
            if (r != rank_ && events != 0) links.push_back({peer.link.number(), static_cast<short>(events), 0});
        }
        poll(links.data(), links.size(), 100);
    }

    static void push(Peer& peer) {
        while (!peer.out.empty() && !peer.ended && !peer.knows) {
            Outgoing& flow = peer.out.front();
            bool head = flow.done < sizeof flow.length;
            const std::byte* from =
                head ? reinterpret_cast<const std::byte*>(&flow.length) + flow.done : flow.from.data() + (flow.done - sizeof flow.length);
            std::size_t count = head ? sizeof flow.length - flow.done : flow.left();
            bool more = head && flow.bytes > 0;
            if (!moved(peer, flow, send(peer.link.number(), from, count, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0)))) return;
            if (flow.left() == 0) peer.out.pop_front();
        }
    }
    static void pull(Peer& peer) {
        // What had come before the link ended is still there.
        bool ended = std::exchange(peer.ended, false);
        while (!peer.in.empty() && !peer.ended) {
            Incoming& flow = peer.in.front();
            bool head = flow.done < sizeof flow.length;
            if (!head && flow.length != flow.bytes) break;
            std::byte* to =
                head ? reinterpret_cast<std::byte*>(&flow.length) + flow.done : flow.to.data() + (flow.done - sizeof flow.length);
            std::size_t count = head ? sizeof flow.length - flow.done : flow.left();
            ssize_t got = recv(peer.link.number(), to, count, MSG_DONTWAIT);
            if (!moved(peer, flow, got != 0 ? got : (errno = ECONNRESET, -1))) break;
            if (flow.done >= sizeof flow.length && flow.length == flow.bytes && flow.left() == 0) peer.in.pop_front();
        }
        peer.ended = peer.ended || ended;
    }
    static bool moved(Peer& peer, Flow& flow, ssize_t count) {
        if (count < 0) {
            peer.ended = errno != EAGAIN && errno != EINTR;
            return errno == EINTR;
        }
        flow.done += static_cast<std::size_t>(count);
        peer.all_bytes += static_cast<std::size_t>(count);
        return true;
    }

    // A peer that is through, or whose link has ended, may have said a last word since.
    void listen_for_end(int rank) {
        if (std::uint64_t word = last_word_of(peers_[index(rank)]); word != 0) gave_up(rank, word);
    }
    // 0: none yet.
    static std::uint64_t last_word_of(Peer& peer) {
        if (!peer.in.empty()) return peer.in.front().gives_up() ? peer.in.front().length : 0;
        if (peer.ahead) return 0;
        std::uint64_t word = 0;
        ssize_t seen = recv(peer.link.number(), &word, sizeof word, MSG_PEEK | MSG_DONTWAIT);
        if (seen == sizeof word && word >= kGivesUp) return word;
        peer.ahead = seen == 0 || seen == sizeof word;
        return 0;
    }
    // To those that are between two messages: which rank was lost, so that they name that one and not this.
    void say_last_word() {
        std::uint64_t word = kGivesUp + static_cast<std::uint64_t>(lost_ + 1);
        for (int r = 0; r < size(); ++r) {
            Peer& peer = peers_[index(r)];
            bool between = peer.out.empty() || peer.out.front().done == 0;
            if (r == rank_ || !between || std::exchange(peer.knows, true)) continue;
            send(peer.link.number(), &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }

    std::string told(int rank) const {
        const Peer& peer = peers_[index(rank)];
        return fmt::format("rank {} (process {} at {})", rank, peer.place.process, peer.link.peer());
    }
    static int lost_by(std::uint64_t word) { return static_cast<int>(word - kGivesUp) - 1; }
    [[noreturn]] void gave_up(int by, std::uint64_t word) {
        int which = lost_by(word);
        const std::string& collective = name_with(peers_[index(by)]);
        lost_ = which >= 0 ? which : by;
        if (which < 0) throw RankLost(fmt::format("[{}] {} gave up, with an error of its own", collective, told(by)));
        if (which != rank_)
            throw RankLost(fmt::format("[{}] {} lost rank {}, which died or hung, and gave up", collective, told(by), which));
        // This one is well. It was late because it waits itself, or had much to do.
        Peer* longest = nullptr;
        for (Peer& peer : peers_) {
            bool waits = &peer != &peers_[index(rank_)] && &peer != &peers_[index(by)] && through(peer) < waiting_;
            if (waits && (longest == nullptr || peer.moved < longest->moved)) longest = &peer;
        }
        if (longest == nullptr) {
            throw RankLost(fmt::format("[{}] {} waits no longer for rank {}, this one; hint: --rank-timeout sets how long to wait",
                                       collective, told(by), rank_));
        }
        lost_ = static_cast<int>(longest - peers_.data());
        say_last_word();
        throw RankLost(
            fmt::format("[{}] {} gave rank {} no answer, for which {} waits no longer", collective, told(lost_), rank_, told(by)));
    }
    // Those that are well get their whole messages first, so that they hear the last word. The lost one may itself have lost another.
    [[noreturn]] void lose(int rank, bool died) {
        lost_ = rank;
        const std::string& collective = name_with(peers_[index(rank)]);
        std::string text = died ? fmt::format("[{}] rank {} died (process {} at {}) while rank {} waited for it", collective, rank,
                                              peers_[index(rank)].place.process, peers_[index(rank)].link.peer(), rank_)
                                : fmt::format("[{}] {} gave rank {} no answer for {} s; hint: --rank-timeout sets how long to wait",
                                              collective, told(rank), rank_, patience_);
        bool told_all = false;
        for (Deadline soon(0.3); !soon.is_over() && !(told_all && died); usleep(1000)) {
            told_all = true;
            for (int r = 0; r < size(); ++r) {
                Peer& peer = peers_[index(r)];
                if (r == rank_ || peer.ended) continue;
                push(peer);
                pull(peer);
                told_all = told_all && (r == rank || peer.out.empty());
            }
            say_last_word();
            std::uint64_t word = last_word_of(peers_[index(rank)]);
            if (word != 0 && lost_by(word) != rank_) gave_up(rank, word);
        }
        throw RankLost(text);
    }

    double patience_;
    int rank_, local_size_ = 1, local_rank_ = 0, lost_ = -1;
    std::chrono::microseconds eager_{0};
    std::vector<Peer> peers_;
    Ticket begun_ = 0, waiting_ = 0;  // waiting_: for the end of which, or 0
    Clock::time_point since_;         // the wait's begin
    std::deque<std::string> names_;   // of the exchanges that are not through
};

}  // namespace

std::unique_ptr<Transport> tcp_transport(const TcpMeeting& meeting, double patience) { return std::make_unique<Tcp>(meeting, patience); }

}  // namespace engine
