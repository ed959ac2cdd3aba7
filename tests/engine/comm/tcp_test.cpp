#include "engine/comm/transport.h"
#include "tests/support/collectives.h"
#include "tests/support/many_ranks.h"
#include "tests/support/slow_link.h"

#include <chrono>
#include <functional>
#include <numeric>
#include <thread>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace engine;
using namespace tests;

namespace {

using Clock = std::chrono::steady_clock;

TcpMeeting in_folder(const TemporaryFolder& folder, int rank, int size) {
    return {.rank = rank, .size = size, .host = {}, .token = {}, .folder = folder.path(), .seconds = 20};
}

// A rank's `count` bytes for everybody, and theirs for it.
void share(Transport& transport, std::size_t count) {
    auto ranks = static_cast<std::size_t>(transport.size());
    std::vector<std::byte> own(count, static_cast<std::byte>(transport.rank() + 1));
    std::vector<std::vector<std::byte>> theirs(ranks, std::vector<std::byte>(count));
    std::vector<Transport::Send> sends(ranks, own);
    std::vector<Transport::Receive> receives(theirs.begin(), theirs.end());
    transport.exchange("share", sends, receives);
    for (std::size_t r = 0; r < ranks; ++r) CHECK(theirs[r] == std::vector<std::byte>(count, static_cast<std::byte>(r + 1)));
}

// A rank's `count` bytes for everybody, and theirs for it, on their way.
class Messages {
  public:
    Messages(const Transport& transport, std::size_t count)
        : own_(count, static_cast<std::byte>(transport.rank() + 1)),
          theirs_(static_cast<std::size_t>(transport.size()), std::vector<std::byte>(count)) {}
    Transport::Ticket begin(std::string_view collective, Transport& transport) {
        return transport.begin(collective, std::vector<Transport::Send>(theirs_.size(), own_),
                               std::vector<Transport::Receive>(theirs_.begin(), theirs_.end()));
    }
    bool are_here() const {
        bool all = true;
        for (std::size_t r = 0; r < theirs_.size(); ++r) {
            all = all && (theirs_[r].empty() || theirs_[r].back() == static_cast<std::byte>(r + 1));
        }
        return all;
    }

  private:
    std::vector<std::byte> own_;
    std::vector<std::vector<std::byte>> theirs_;
};

// Ranks as threads; what each threw, or nothing.
std::vector<std::string> run_ranks(int size, double patience, const std::function<TcpMeeting(int rank)>& place,
                                   const std::function<void(Transport&)>& body) {
    std::vector<std::string> errors(static_cast<std::size_t>(size));
    std::vector<std::thread> ranks;
    for (int rank = 0; rank < size; ++rank) {
        ranks.emplace_back([&, rank] {
            try {
                std::unique_ptr<Transport> transport = tcp_transport(place(rank), patience);
                body(*transport);
            } catch (const std::exception& error) { errors[static_cast<std::size_t>(rank)] = error.what(); }
        });
    }
    for (std::thread& rank : ranks) rank.join();
    return errors;
}

std::vector<std::string> run_ranks(int size, double patience, const std::function<void(Transport&)>& body) {
    TemporaryFolder folder;
    return run_ranks(
        size, patience, [&](int rank) { return in_folder(folder, rank, size); }, body);
}

bool says(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("as a TCP rank: collectives" * doctest::skip()) {
    std::unique_ptr<Transport> transport = tcp_transport(meeting_of_test(), 20);
    std::unique_ptr<Communicator> communicator = process_ranks(*transport);
    CHECK(transport->local_size() == communicator->size());
    CHECK(transport->local_rank() == communicator->rank());
    CHECK(collected(*communicator) == collected_by_virtual_ranks(communicator->size()));
}

TEST_CASE("TCP ranks sum, gather and agree in the bits of virtual ranks") {
    for (int ranks : {2, 3, 4, 8}) {
        CAPTURE(ranks);
        CHECK(run_case_on_tcp_ranks(ranks, "as a TCP rank: collectives") == 0);
    }
}

TEST_CASE("messages of any length arrive whole, many in a row, with ranks that are early and late") {
    for (const std::string& error : run_ranks(4, 20, [](Transport& transport) {
             for (std::size_t count : {0, 1, 7, 8, 9, 4096, 3'000'001, 0, 5}) {
                 if (static_cast<int>(count % 4) == transport.rank()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
                 share(transport, count);
             }
         })) {
        CHECK_MESSAGE(error.empty(), error);
    }
}

TEST_CASE("ranks that disagree on a size end with both sizes") {
    std::vector<std::string> errors = run_ranks(2, 20, [](Transport& transport) { share(transport, transport.rank() == 0 ? 5 : 9); });
    CHECK_MESSAGE(says(errors[0], "[share] ranks disagree: rank 1 sends 9 bytes, rank 0 expects 5"), errors[0]);
    // Rank 0 may have left before rank 1 looked.
    CHECK_FALSE(errors[1].empty());
}

TEST_CASE("a rank that ends is named by all others at once") {
    Clock::time_point begin = Clock::now();
    std::vector<std::string> errors = run_ranks(3, 60, [](Transport& transport) {
        share(transport, 3);
        if (transport.rank() == 1) return;
        share(transport, 1'000'000);
    });
    CHECK(std::chrono::duration<double>(Clock::now() - begin).count() < 5);
    CHECK(errors[1].empty());
    for (int rank : {0, 2}) CHECK_MESSAGE(says(errors[static_cast<std::size_t>(rank)], "died"), errors[static_cast<std::size_t>(rank)]);
    CHECK((says(errors[0], "[share] rank 1 died (process ") || says(errors[2], "[share] rank 1 died (process ")));
    for (int rank : {0, 2}) CHECK_FALSE(says(errors[static_cast<std::size_t>(rank)], " at )"));
}

TEST_CASE("a rank that hangs is named after the patience, which counts from the last byte: a slow one is none") {
    std::vector<std::string> errors = run_ranks(2, 0.5, [](Transport& transport) {
        for (int i = 0; i < 4; ++i) {
            if (transport.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(300));
            share(transport, 100);
        }
        if (transport.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
        for (int i = 0; i < 2; ++i) share(transport, 100);
    });
    CHECK_MESSAGE(says(errors[0], "gave rank 0 no answer for 0.5 s; hint: --rank-timeout"), errors[0]);
    CHECK_MESSAGE(says(errors[0], "rank 1 (process "), errors[0]);
    CHECK_MESSAGE(says(errors[1], "waits no longer for rank 1, this one"), errors[1]);
}

TEST_CASE("a message may take longer than the patience, over a link that is slow") {
    int port = listen_at("", 0).port();
    SlowLink link(port, 3);
    std::vector<std::string> errors = run_ranks(
        2, 0.25,
        [&](int rank) {
            TcpMeeting meeting{.rank = rank, .size = 2, .host = "127.0.0.1", .port = port, .token = {}, .folder = {}, .seconds = 20};
            if (rank == 1) meeting.port = link.port();
            return meeting;
        },
        [](Transport& transport) {
            Clock::time_point begin = Clock::now();
            share(transport, 1'000'000);
            CHECK(std::chrono::duration<double>(Clock::now() - begin).count() > 0.25);
        });
    for (const std::string& error : errors) CHECK_MESSAGE(error.empty(), error);
}

TEST_CASE("what was begun moves while nobody waits, and ends in any order") {
    for (const std::string& error : run_ranks(3, 20, [](Transport& transport) {
             std::vector<Messages> under_way;
             for (std::size_t count : {12'000'001, 3, 0}) under_way.emplace_back(transport, count);
             std::vector<Transport::Ticket> tickets;
             for (Messages& each : under_way) tickets.push_back(each.begin("share", transport));
             // More than a socket holds, to the last byte.
             Clock::time_point begin = Clock::now();
             while (!under_way[1].are_here() && std::chrono::duration<double>(Clock::now() - begin).count() < 20) transport.advance();
             CHECK(under_way[0].are_here());
             CHECK(under_way[1].are_here());
             share(transport, 9);
             for (std::size_t i : {2, 0, 1}) transport.end(tickets[i]);
         })) {
        CHECK_MESSAGE(error.empty(), error);
    }
}

TEST_CASE("a rank that computes beside an exchange is not late, and one that others wait for afterwards is") {
    std::vector<std::string> errors = run_ranks(2, 0.5, [](Transport& transport) {
        Messages first(transport, 1000), second(transport, 1000);
        if (transport.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1000));
        Transport::Ticket one = first.begin("first", transport);
        if (transport.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(800));
        transport.end(one);
        CHECK(first.are_here());
        if (transport.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
        transport.end(second.begin("second", transport));
        share(transport, 10);
    });
    CHECK_MESSAGE(says(errors[0], "[second] rank 1 (process "), errors[0]);
    CHECK_MESSAGE(says(errors[0], "gave rank 0 no answer for 0.5 s"), errors[0]);
    CHECK_MESSAGE(says(errors[1], "waits no longer for rank 1, this one"), errors[1]);
}

TEST_CASE("a rank that ends between others' exchanges is named by whoever looks, with the first exchange that it left open") {
    std::vector<std::string> errors = run_ranks(2, 20, [](Transport& transport) {
        Messages first(transport, 10), second(transport, 10), third(transport, 10);
        Transport::Ticket one = first.begin("first", transport);
        if (transport.rank() == 1) return transport.end(one);
        second.begin("second", transport);
        third.begin("third", transport);
        for (int i = 0; i < 2000; ++i) {
            transport.advance();
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    CHECK(errors[1].empty());
    CHECK_MESSAGE(says(errors[0], "[second] rank 1 died (process "), errors[0]);
}

TEST_CASE("ranks that disagree on the size of one exchange of several name that one") {
    std::vector<std::string> errors = run_ranks(2, 20, [](Transport& transport) {
        Messages first(transport, 10), second(transport, transport.rank() == 0 ? 4 : 7), third(transport, 10);
        first.begin("first", transport);
        second.begin("second", transport);
        transport.end(third.begin("third", transport));
    });
    CHECK_MESSAGE(says(errors[0], "[second] ranks disagree: rank 1 sends 7 bytes, rank 0 expects 4"), errors[0]);
    CHECK_FALSE(errors[1].empty());
}

TEST_CASE("a rank that gives up says which rank it lost, and the others name that one") {
    TemporaryFolder folder;
    // Rank 2 is silent; rank 1 has less patience than rank 0, and gives up first.
    std::vector<pid_t> children;
    for (int rank : {1, 2}) {
        pid_t child = fork();
        if (child == 0) {
            std::unique_ptr<Transport> transport = tcp_transport(in_folder(folder, rank, 3), 0.3);
            if (rank == 2) {
                usleep(3'000'000);
                _exit(0);
            }
            try {
                share(*transport, 100'000);
            } catch (const RankLost&) { transport->abandon(7); }
            _exit(0);
        }
        children.push_back(child);
    }
    std::unique_ptr<Transport> transport = tcp_transport(in_folder(folder, 0, 3), 20);
    Clock::time_point begin = Clock::now();
    CHECK_THROWS_WITH_AS(share(*transport, 100'000), doctest::Contains("lost rank 2, which died or hung, and gave up"), RankLost);
    CHECK(std::chrono::duration<double>(Clock::now() - begin).count() < 2);
    transport.reset();
    int status = 0;
    waitpid(children[0], &status, 0);
    CHECK(WEXITSTATUS(status) == 7);
    kill(children[1], SIGKILL);
    waitpid(children[1], &status, 0);
}
