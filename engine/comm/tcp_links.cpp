#include "engine/comm/tcp_links.h"

#include "engine/comm/meeting_file.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstring>

#include <poll.h>
#include <unistd.h>

namespace engine {
namespace {

constexpr std::uint64_t kMagic = 0x6d6f656772616432;  // "moegrad2"

// All that is said while ranks meet is of fixed size, so that no stranger can make a rank take memory or wait.
struct Hello {
    std::uint64_t magic = 0;
    std::array<char, 128> token{};
    std::int32_t rank = 0, size = 0;
    std::int32_t port = 0;  // where the rank listens itself
};
// What a rank hears back; no text: welcome.
struct Answer {
    std::uint64_t magic = 0;
    std::array<char, 512> text{};
};
// Where a rank listens; no host: on rank 0's machine.
struct Door {
    std::array<char, 64> host{};
    std::int32_t port = 0;
};

template <std::size_t N>
void put(std::array<char, N>& field, const std::string& text) {
    std::copy_n(text.data(), std::min(text.size(), N - 1), field.data());
}
// Without what could play with a terminal.
template <std::size_t N>
std::string taken(const std::array<char, N>& field) {
    std::string text(field.data(), strnlen(field.data(), N));
    for (char& c : text) c = std::isprint(static_cast<unsigned char>(c)) != 0 ? c : '?';
    return text;
}
template <class T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}
template <class T>
std::span<std::byte> writable_bytes_of(T& value) {
    return std::as_writable_bytes(std::span(&value, 1));
}

Answer answer_of(const std::string& text) {
    Answer answer{.magic = kMagic, .text = {}};
    put(answer.text, text);
    return answer;
}

// Somebody at the door who has not said everything yet.
struct Caller {
    Socket link;
    Hello hello{};
    std::size_t heard = 0;
    Deadline deadline;
};

class Meeting {
  public:
    explicit Meeting(const TcpMeeting& meeting) : meeting_(meeting), end_(meeting.seconds), links_(static_cast<std::size_t>(meeting.size)) {
        expect(meeting.size >= 1 && meeting.rank >= 0 && meeting.rank < meeting.size, "ranks", "no such rank: {} of {}", meeting.rank,
               meeting.size);
        expect(meeting.token.size() < Hello{}.token.size(), "ranks", "the job's token is too long: got {} bytes, expected at most {}",
               meeting.token.size(), Hello{}.token.size() - 1);
    }

    std::vector<Socket> connect() {
        if (meeting_.rank == 0) {
            be_called();
        } else {
            call();
        }
        return std::move(links_);
    }

  private:
    Socket& link(int rank) { return links_[static_cast<std::size_t>(rank)]; }
    std::string where() const {
        if (!meeting_.folder.empty()) return meeting_.folder.string();
        bool six = meeting_.host.find(':') != std::string::npos;
        return fmt::format("{}{}{}:{}", six ? "[" : "", meeting_.host, six ? "]" : "", meeting_.port);
    }

    void be_called() {
        Socket door = first_door();
        token_ = meeting_.token;
        if (!meeting_.folder.empty()) token_ = write_meeting(meeting_.folder, door.port()).token;
        std::vector<Door> doors(links_.size());
        std::string wrong;
        try {
            let_in(door, 1, &doors);
        } catch (const Error& error) { wrong = error.what(); }
        if (!meeting_.folder.empty()) remove_meeting(meeting_.folder);
        Answer outcome = answer_of(wrong.substr(0, wrong.find('\n')));
        for (int r = 1; r < meeting_.size; ++r) {
            Deadline soon = Deadline(5);
            bool told =
                link(r).is_open() && send_all(link(r), bytes_of(outcome), soon) && send_all(link(r), std::as_bytes(std::span(doors)), soon);
            if (!told && wrong.empty()) wrong = fmt::format("[ranks] rank {} left while all met", r);
        }
        if (!wrong.empty()) throw Error(wrong);
    }
    Socket first_door() const {
        if (!meeting_.folder.empty()) return listen_at("", 0);
        try {
            return listen_at(is_address(meeting_.host) || meeting_.host == "localhost" ? address_of_host() : "", meeting_.port);
        } catch (const Error& error) {
            throw Error(
                fmt::format("{}: this is rank 0, which the others call there; hint: another port if it is taken, the address of "
                            "rank 0's machine if it is not",
                            error.what()));
        }
    }
    std::string address_of_host() const { return meeting_.host == "localhost" ? "127.0.0.1" : meeting_.host; }

    void call() {
        call_first();
        Answer outcome;
        std::vector<Door> doors(links_.size());
        end_ = Deadline(meeting_.seconds + 2);  // rank 0, which may have begun later, speaks in its own time
        bool heard = receive_all(link(0), writable_bytes_of(outcome), end_);
        expect(heard, "ranks", "rank 0 at {} left rank {} without a word for {} s, or ended; hint: see rank 0's own message", where(),
               meeting_.rank, meeting_.seconds);
        if (outcome.text[0] != 0) throw Error(fmt::format("{} (so says rank 0)", taken(outcome.text)));
        expect(receive_all(link(0), std::as_writable_bytes(std::span(doors)), end_), "ranks", "rank 0 left while all met");
        for (int r = 1; r < meeting_.rank; ++r) call_rank(r, doors[static_cast<std::size_t>(r)]);
        let_in(door_, meeting_.rank + 1, nullptr);
    }
    // Again and again: rank 0 may start last, or a file may be of an earlier start.
    void call_first() {
        std::string why = "nobody was there", refusal;
        do {
            MeetingFile place{.addresses = {address_of_host()}, .port = meeting_.port, .token = meeting_.token, .folder = {}};
            if (!meeting_.folder.empty()) place = read_meeting(meeting_.folder);
            if (place.addresses.empty()) why = "rank 0 has left no word of itself there";
            for (const std::string& host : place.addresses) {
                token_ = place.token;
                Dialled dialled = dial(host, place.port, end_.within(2));
                why = dialled.why;
                if (!dialled.socket.is_open()) continue;
                if (!door_.is_open()) door_ = listen_at(door_address(dialled.socket), 0);
                why = greet(dialled.socket, end_.within(meeting_.folder.empty() ? 10 : 1));
                if (!why.empty() && meeting_.folder.empty() && why != kSilent) fail("ranks", "rank 0 at {} says: {}", where(), why);
                if (!why.empty()) {
                    if (why != kSilent) refusal = why;
                    continue;
                }
                link(0) = std::move(dialled.socket);
                return;
            }
            usleep(50'000);
        } while (!end_.is_over());
        if (!refusal.empty()) why = fmt::format("a rank 0 that was there said: {}", refusal);
        fail("ranks", "rank {} did not meet rank 0 at {} in {} s: {}; hint: is rank 0 started, and is this its place?", meeting_.rank,
             where(), meeting_.seconds, why);
    }
    // Other ranks reach this one where rank 0 does; anywhere, where this machine's own name means its loopback.
    std::string door_address(const Socket& to_first) const {
        bool named = meeting_.folder.empty() && !is_loopback(meeting_.host);
        std::string own = to_first.address();
        return is_loopback(own) && named ? "" : own;
    }
    void call_rank(int rank, const Door& door) {
        std::string host = door.host[0] != 0 ? taken(door.host) : link(0).peer(), why;
        do {
            Dialled dialled = dial(host, door.port, end_);
            why = dialled.why;
            if (dialled.socket.is_open()) {
                why = greet(dialled.socket, end_);
                link(rank) = std::move(dialled.socket);
                break;
            }
            usleep(50'000);
        } while (!end_.is_over());
        expect(why.empty(), "ranks", "rank {} did not reach rank {} at {}:{} in {} s: {}; hint: may machines call each other at any port?",
               meeting_.rank, rank, host, door.port, meeting_.seconds, why);
    }

    static constexpr const char* kSilent = "no rank answered there";
    // Nothing, or why this rank is not welcome.
    std::string greet(const Socket& to, Deadline deadline) const {
        Hello hello{.magic = kMagic, .token = {}, .rank = meeting_.rank, .size = meeting_.size, .port = door_.port()};
        put(hello.token, token_);
        Answer answer;
        bool heard = send_all(to, bytes_of(hello), deadline) && receive_all(to, writable_bytes_of(answer), deadline);
        return heard && answer.magic == kMagic ? taken(answer.text) : kSilent;
    }

    // Ranks [from, size) come in any order, strangers among them. `doors` takes where each of them listens.
    void let_in(const Socket& door, int from, std::vector<Door>* doors) {
        int missing = meeting_.size - from, strangers = 0;
        std::vector<Caller> callers;
        while (missing > 0) {
            if (end_.is_over()) fail_of_missing(from, strangers);
            std::vector<pollfd> events{{door.number(), POLLIN, 0}};
            for (const Caller& caller : callers) events.push_back({caller.link.number(), POLLIN, 0});
            poll(events.data(), events.size(), std::min(100, end_.milliseconds_left()));
            for (Caller& caller : callers) hear(caller);
            for (Caller& caller : callers) {
                if (caller.heard < sizeof caller.hello) continue;
                if (welcome(caller, from, doors)) {
                    --missing;
                } else {
                    ++strangers;
                }
            }
            std::erase_if(callers, [](const Caller& caller) { return !caller.link.is_open(); });
            for (Socket link = accept_from(door); link.is_open(); link = accept_from(door)) {
                if (callers.size() < 4096)
                    callers.push_back({.link = std::move(link), .hello = {}, .heard = 0, .deadline = end_.within(10)});
            }
        }
    }
    // What has come; a caller who says nothing for long, or anything else, is closed.
    static void hear(Caller& caller) {
        caller.heard += receive_some(caller.link, writable_bytes_of(caller.hello).subspan(caller.heard));
        bool whole = caller.heard == sizeof caller.hello;
        if (!whole && (caller.link.has_ended() || caller.deadline.is_over())) caller.link = Socket();
    }
    // Takes the caller's link: a rank of ours that is not there yet, or one who is told why not and sent away.
    bool welcome(Caller& caller, int from, std::vector<Door>* doors) {
        Socket link = std::move(caller.link);
        const Hello& hello = caller.hello;
        if (!is_ours(hello)) {
            if (hello.magic == kMagic)
                send_all(link, bytes_of(answer_of("the job's token is another one; hint: the same MOEGRAD_JOB_TOKEN for all")),
                         Deadline(0.1));
            return false;
        }
        std::string wrong;
        if (hello.size != meeting_.size) {
            wrong = fmt::format("rank {} says that there are {} ranks, rank {} that there are {}", hello.rank, hello.size, meeting_.rank,
                                meeting_.size);
        } else if (hello.rank < 0 || hello.rank >= meeting_.size) {
            wrong = fmt::format("rank {} came, of {} ranks", hello.rank, hello.size);
        } else if (hello.rank < from || (this->link(hello.rank).is_open() && !this->link(hello.rank).has_ended())) {
            wrong = fmt::format("rank {} came twice", hello.rank);
        }
        send_all(link, bytes_of(answer_of(wrong)), end_.within(1));
        if (!wrong.empty()) fail("ranks", "{}; hint: start each rank once, with the same number of ranks", wrong);
        if (doors != nullptr) {
            Door& own = (*doors)[static_cast<std::size_t>(hello.rank)];
            std::string peer = link.peer();
            put(own.host, is_loopback(peer) ? "" : peer);
            own.port = hello.port;
        }
        bool again = this->link(hello.rank).is_open();
        this->link(hello.rank) = std::move(link);
        return !again;
    }
    // In a time that does not tell how much of the token was right.
    bool is_ours(const Hello& hello) const {
        std::array<char, sizeof hello.token> own{};
        put(own, token_);
        unsigned wrong = hello.magic != kMagic;
        for (std::size_t i = 0; i < own.size(); ++i) wrong |= static_cast<unsigned char>(own[i] ^ hello.token[i]);
        return wrong == 0;
    }
    [[noreturn]] void fail_of_missing(int from, int strangers) {
        std::string names;
        for (int r = from; r < meeting_.size; ++r) {
            if (!link(r).is_open()) names += fmt::format("{}{}", names.empty() ? "" : ", ", r);
        }
        std::string others = strangers > 0 ? fmt::format("; turned away, as of another job: {} callers", strangers) : "";
        fail("ranks", "of {} ranks these had not come to rank {} after {} s: {}{}; hint: were all started, for the same place and job?",
             meeting_.size, meeting_.rank, meeting_.seconds, names, others);
    }

    TcpMeeting meeting_;
    Deadline end_;
    std::string token_;
    Socket door_;
    std::vector<Socket> links_;
};

}  // namespace

std::vector<Socket> connect_ranks(const TcpMeeting& meeting) { return Meeting(meeting).connect(); }

}  // namespace engine
