// Ranks that meet over TCP, as threads of this process: who is let in, who is not, and that nobody waits for ever.
#include "engine/comm/meeting_file.h"
#include "engine/comm/tcp_links.h"
#include "tests/support/temporary_folder.h"

#include <chrono>
#include <fstream>
#include <thread>

#include <doctest/doctest.h>
#include <sys/stat.h>

using namespace engine;
using namespace tests;

namespace {

// A port that was free a moment ago.
int free_port() { return listen_at("", 0).port(); }

TcpMeeting at_port(int port, int rank, int size, double seconds = 10) {
    return {.rank = rank, .size = size, .host = "127.0.0.1", .port = port, .token = "job 1", .folder = {}, .seconds = seconds};
}

struct Met {
    std::vector<Socket> links;
    std::string error;
};

// Every meeting's outcome, begun at the same time.
std::vector<Met> meet(const std::vector<TcpMeeting>& meetings) {
    std::vector<Met> outcomes(meetings.size());
    std::vector<std::thread> ranks;
    for (std::size_t i = 0; i < meetings.size(); ++i) {
        ranks.emplace_back([&, i] {
            try {
                outcomes[i].links = connect_ranks(meetings[i]);
            } catch (const Error& error) { outcomes[i].error = error.what(); }
        });
    }
    for (std::thread& rank : ranks) rank.join();
    return outcomes;
}

bool says(const Met& met, const std::string& words) { return met.error.find(words) != std::string::npos; }

// Every rank tells every other a number that only the two know.
void check_connected(std::vector<Met>& ranks) {
    Deadline soon(5);
    for (std::size_t from = 0; from < ranks.size(); ++from) {
        REQUIRE_MESSAGE(ranks[from].error.empty(), ranks[from].error);
        for (std::size_t to = 0; to < ranks.size(); ++to) {
            if (from == to) continue;
            std::size_t sent = from * 100 + to, received = 0;
            CHECK(send_all(ranks[from].links[to], std::as_bytes(std::span(&sent, 1)), soon));
            CHECK(receive_all(ranks[to].links[from], std::as_writable_bytes(std::span(&received, 1)), soon));
            CHECK(received == sent);
        }
    }
}

std::vector<TcpMeeting> all_at(int port, int size, double seconds = 10) {
    std::vector<TcpMeeting> meetings;
    for (int rank = 0; rank < size; ++rank) meetings.push_back(at_port(port, rank, size, seconds));
    return meetings;
}

double seconds_of(const std::function<void()>& body) {
    auto begin = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

TEST_CASE("1, 2, 3, 5 and 16 ranks meet at a port, each connected to each") {
    for (int size : {1, 2, 3, 5, 16}) {
        std::vector<Met> ranks = meet(all_at(free_port(), size));
        check_connected(ranks);
    }
}

TEST_CASE("ranks meet at a name and at an address of IPv6 where the machine has one") {
    for (const char* host : {"localhost", "::1"}) {
        if (listen_at("", 0).address() == "0.0.0.0" && host == std::string("::1")) continue;
        std::vector<TcpMeeting> meetings = all_at(free_port(), 3);
        for (TcpMeeting& meeting : meetings) meeting.host = host;
        std::vector<Met> ranks = meet(meetings);
        check_connected(ranks);
    }
}

TEST_CASE("rank 0 may start last") {
    int port = free_port();
    std::vector<Met> ranks(2);
    std::thread other([&] { ranks[1] = std::move(meet({at_port(port, 1, 2)})[0]); });
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    ranks[0] = std::move(meet({at_port(port, 0, 2)})[0]);
    other.join();
    check_connected(ranks);
}

TEST_CASE("missing ranks are named after the meeting's time, on every rank that has come") {
    int port = free_port();
    std::vector<Met> ranks;
    double seconds = seconds_of([&] { ranks = meet({at_port(port, 0, 4, 0.5), at_port(port, 2, 4, 5)}); });
    CHECK(seconds < 2);
    for (const Met& rank : ranks) CHECK_MESSAGE(says(rank, "had not come to rank 0 after 0.5 s: 1, 3"), rank.error);
    CHECK(says(ranks[1], "so says rank 0"));
}

TEST_CASE("without a rank 0, and at a host that is none, the others end in the meeting's time") {
    std::vector<Met> ranks;
    double seconds = seconds_of([&] { ranks = meet({at_port(free_port(), 1, 2, 0.4)}); });
    CHECK(seconds < 2);
    CHECK_MESSAGE(says(ranks[0], "rank 1 did not meet rank 0 at 127.0.0.1:"), ranks[0].error);
    CHECK_MESSAGE(says(ranks[0], "Connection refused"), ranks[0].error);
    TcpMeeting nowhere = at_port(free_port(), 1, 2, 0.4);
    nowhere.host = "no-such-host.invalid";
    CHECK_FALSE(meet({nowhere})[0].error.empty());
    // An address of nobody: packets are lost, or a router says so.
    nowhere.host = "198.51.100.1";
    seconds = seconds_of([&] { ranks = meet({nowhere}); });
    CHECK(seconds < 2);
    CHECK_FALSE(ranks[0].error.empty());
}

TEST_CASE("a port that is taken, and an address of another machine, are refused by rank 0 at once") {
    Socket taken = listen_at("127.0.0.1", 0);
    std::vector<Met> ranks = meet({at_port(taken.port(), 0, 2)});
    CHECK_MESSAGE(says(ranks[0], "cannot listen at 127.0.0.1"), ranks[0].error);
    CHECK_MESSAGE(says(ranks[0], "Address already in use"), ranks[0].error);
    TcpMeeting elsewhere = at_port(free_port(), 0, 2);
    elsewhere.host = "198.51.100.1";
    ranks = meet({elsewhere});
    CHECK_MESSAGE(says(ranks[0], "Cannot assign requested address"), ranks[0].error);
}

TEST_CASE("a rank that comes twice, and ranks that count otherwise, end all with both words") {
    int port = free_port();
    for (const Met& rank : meet({at_port(port, 0, 3), at_port(port, 1, 3), at_port(port, 1, 3)})) {
        CHECK_MESSAGE(says(rank, "rank 1 came twice"), rank.error);
    }
    port = free_port();
    for (const Met& rank : meet({at_port(port, 0, 2), at_port(port, 1, 3)})) {
        CHECK_MESSAGE(says(rank, "rank 1 says that there are 3 ranks, rank 0 that there are 2"), rank.error);
    }
}

TEST_CASE("strangers are turned away while the ranks meet: silent ones, ones who talk nonsense, another job's") {
    int port = free_port();
    std::vector<Met> ranks(3);
    std::thread first([&] { ranks[0] = std::move(meet({at_port(port, 0, 3)})[0]); });
    std::vector<Socket> silent;
    while (silent.size() < 20) {
        Dialled dialled = dial("127.0.0.1", port, Deadline(1));
        if (dialled.socket.is_open()) silent.push_back(std::move(dialled.socket));
    }
    const std::string nonsense(1000, 'x');
    CHECK(send_all(silent[0], std::as_bytes(std::span(nonsense)), Deadline(1)));
    TcpMeeting other_job = at_port(port, 1, 3);
    other_job.token = "job 2";
    Met stranger = std::move(meet({other_job})[0]);
    CHECK_MESSAGE(says(stranger, "the job's token is another one"), stranger.error);
    std::vector<Met> others = meet({at_port(port, 1, 3), at_port(port, 2, 3)});
    first.join();
    for (std::size_t i = 0; i < 2; ++i) ranks[i + 1] = std::move(others[i]);
    check_connected(ranks);
}

TEST_CASE("ranks find each other through a folder, whose file only its user can read and which is gone afterwards") {
    TemporaryFolder folder;
    std::vector<TcpMeeting> meetings;
    for (int rank = 0; rank < 4; ++rank)
        meetings.push_back({.rank = rank, .size = 4, .host = {}, .token = {}, .folder = folder / "meet", .seconds = 10});
    std::vector<Met> ranks = meet(meetings);
    check_connected(ranks);
    CHECK(std::filesystem::is_empty(folder / "meet"));
    MeetingFile written = write_meeting(folder / "meet", 1234);
    CHECK(written.token.size() == 32);
    struct stat status {};
    REQUIRE(stat((folder / "meet/moegrad-meeting").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(read_meeting(folder / "meet").token == written.token);
    CHECK(read_meeting(folder / "meet").addresses == written.addresses);
    CHECK(write_meeting(folder / "meet", 1234).token != written.token);
}

TEST_CASE("a file of an earlier start misleads nobody: its port refused, taken by a stranger, or by another job") {
    TemporaryFolder folder;
    Socket silent = listen_at("", 0);
    int port_of_nobody = free_port();
    for (int port : {port_of_nobody, silent.port()}) {
        write_meeting(folder.path(), port);
        std::vector<Met> ranks(2);
        std::thread other([&] {
            ranks[1] = std::move(meet({{.rank = 1, .size = 2, .host = {}, .token = {}, .folder = folder.path(), .seconds = 20}})[0]);
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        ranks[0] = std::move(meet({{.rank = 0, .size = 2, .host = {}, .token = {}, .folder = folder.path(), .seconds = 20}})[0]);
        other.join();
        check_connected(ranks);
    }
    // Nobody but the old file: an end in the meeting's time.
    write_meeting(folder.path(), port_of_nobody);
    Met alone = std::move(meet({{.rank = 1, .size = 2, .host = {}, .token = {}, .folder = folder.path(), .seconds = 0.4}})[0]);
    CHECK_MESSAGE(says(alone, "did not meet rank 0 at " + folder.path().string()), alone.error);
    std::ofstream(folder / "moegrad-meeting") << "moegrad-meeting-1 12 half";
    CHECK(read_meeting(folder.path()).addresses.empty());
    alone = std::move(meet({{.rank = 1, .size = 2, .host = {}, .token = {}, .folder = folder.path(), .seconds = 0.3}})[0]);
    CHECK_MESSAGE(says(alone, "rank 0 has left no word of itself there"), alone.error);
}
