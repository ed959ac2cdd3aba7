// GPU ranks without a GPU: a library of NCCL's functions over host memory (tests/fake/nccl.cpp), opened as NCCL is.
#include "apps/comm_check.h"
#include "engine/comm/gpu_place.h"
#include "engine/comm/nccl_comm.h"
#include "engine/comm/nccl_ranks.h"
#include "engine/cuda/runtime.h"
#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"
#include "tests/support/collectives.h"
#include "tests/support/many_ranks.h"
#include "tests/support/text_files.h"

#include <csignal>
#include <cstdlib>
#include <cstring>

#include <doctest/doctest.h>
#include <unistd.h>

using namespace engine;
using namespace tests;

namespace {

using Clock = std::chrono::steady_clock;

constexpr Device kHost{DeviceKind::cpu, 0};

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// A variable of this process and of the ranks that it starts.
class Variable {
  public:
    Variable(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
    ~Variable() { unsetenv(name_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

  private:
    const char* name_;
};

// Ranks of this program over the fake library.
struct FakeRanks {
    TemporaryFolder folder;
    Variable temporary{"TMPDIR", folder.path().string()};
    Variable log{"FAKE_NCCL_LOG", (folder / "log").string()};
    std::string log_of(int rank) const { return read_text(folder / ("log-" + std::to_string(rank))); }
};

struct FakeRank {
    nccl::Library nccl = nccl::open_library(MOEGRAD_FAKE_NCCL);
    std::unique_ptr<Transport> transport;
    std::unique_ptr<Communicator> communicator;
    Exec exec;

    explicit FakeRank(double patience, Device device = kHost) {
        transport = tcp_transport(meeting_of_test(), patience);
        communicator = nccl_ranks(*transport, device, patience, nccl);
        exec = {.device = device, .pool = &pool_of(device), .communicator = communicator.get()};
    }
    int rank() const { return communicator->rank(); }
    void gather() {
        Tensor whole(exec, {communicator->size(), 3}, Dtype::f32);
        communicator->all_gather(exec, whole, from_host(exec, {1, 3}, Dtype::f32, std::vector<float>(3, 1)));
    }
};

// It is where this program was built, not where a portable one was brought to.
bool fake_is_here() {
    bool built_here = std::filesystem::exists(std::filesystem::path(MOEGRAD_FAKE_NCCL).parent_path());
    if (!built_here) MESSAGE("skipped: the library of tests/fake is not on this machine");
    return built_here;
}

}  // namespace

TEST_CASE("a library that is missing, old or incomplete is refused with what would help") {
    CHECK_THROWS_WITH_AS(nccl::open_library("libno-such-nccl.so.2"), doctest::Contains("cannot be opened: libno-such-nccl.so.2"), Error);
    CHECK_THROWS_WITH_AS(nccl::open_library("libno-such-nccl.so.2"), doctest::Contains("hint: install NCCL 2.20.0 or later"), Error);
    CHECK_THROWS_WITH_AS(nccl::open_library("libm.so.6"), doctest::Contains("libm.so.6 has no ncclGetVersion; hint: it takes NCCL 2.20.0"),
                         Error);
    if (!fake_is_here()) return;
    CHECK(nccl::open_library(MOEGRAD_FAKE_NCCL).version == 22809);
    Variable old("FAKE_NCCL_VERSION", "21805");
    CHECK_THROWS_WITH_AS(nccl::open_library(MOEGRAD_FAKE_NCCL), doctest::Contains("too old: got version 2.18.5, expected 2.20.0 or later"),
                         Error);
    CHECK(nccl::version_text(2708) == "2.7.8");
}

TEST_CASE("as an NCCL rank without a GPU" * doctest::skip()) {
    nccl::Library nccl = nccl::open_library("libnccl.so.2");
    nccl::UniqueId a, b;
    REQUIRE(nccl.get_unique_id(&a) == nccl::kSuccess);
    REQUIRE(nccl.get_unique_id(&b) == nccl::kSuccess);
    CHECK(std::memcmp(a.bytes, b.bytes, sizeof a.bytes) != 0);
    std::unique_ptr<Transport> transport = tcp_transport(meeting_of_test(), 20);
    Clock::time_point begin = Clock::now();
    CHECK_THROWS_WITH_AS(NcclComm(nccl, *transport, kHost, 20), doctest::Contains("hint: NCCL_DEBUG=INFO says more"), Error);
    CHECK(seconds_since(begin) < 15);
}

TEST_CASE("NCCL itself, where it is: ids that differ, and without a GPU an error of ours in time") {
    try {
        MESSAGE("NCCL " << nccl::version_text(nccl::open_library("libnccl.so.2").version));
    } catch (const Error&) {
        MESSAGE("skipped: no NCCL");
        return;
    }
    if (cuda::device_count() == 0) CHECK(run_case_on_tcp_ranks(1, "as an NCCL rank without a GPU") == 0);
}

TEST_CASE("as an NCCL rank: collectives" * doctest::skip()) {
    FakeRank rank(20);
    CHECK(collected(*rank.communicator) == collected_by_virtual_ranks(rank.communicator->size()));
    std::vector<std::string> failures = apps::check_collectives(rank.exec).failures();
    CHECK_MESSAGE(failures.empty(), failures.front());
}

TEST_CASE("NCCL ranks sum, gather and agree in the bits of virtual ranks, and make no call before the last one is through") {
    if (!fake_is_here()) return;
    for (int ranks : {2, 3, 4}) {
        CAPTURE(ranks);
        FakeRanks fake;
        CHECK(run_case_on_tcp_ranks(ranks, "as an NCCL rank: collectives") == 0);
        for (int r = 0; r < ranks; ++r) {
            CHECK(fake.log_of(r).find("busy") == std::string::npos);
            CHECK(fake.log_of(r).ends_with("finalize\ndestroy\n"));
        }
    }
}

TEST_CASE("as an NCCL rank: two devices" * doctest::skip()) {
    FakeRank rank(20, {DeviceKind::simt, 0});
    CHECK(collected(*rank.communicator) == collected_by_virtual_ranks(2));
    Exec& exec = rank.exec;
    Communicator& ranks = *rank.communicator;
    int other = 1 - rank.rank();
    // Rows with padding, to the other rank and to itself.
    Tensor out = from_host(exec, {2, 9}, Dtype::f32, std::vector<float>(18, 1.0f + static_cast<float>(rank.rank())));
    Tensor in = zeros(exec, {2, 9}, Dtype::f32), own = zeros(exec, {2, 9}, Dtype::f32);
    std::vector<Tensor> receives{own, own};
    receives[static_cast<std::size_t>(other)] = in;
    ranks.exchange(exec, "both", {out, out}, receives);
    CHECK(to_host<float>(exec, in) == std::vector<float>(18, 1.0f + static_cast<float>(other)));
    CHECK(to_host<float>(exec, own) == to_host<float>(exec, out));
    CHECK(in.data<float>()[9] == 0);
    // One way only.
    std::vector<Tensor> none(2), one(2);
    one[static_cast<std::size_t>(other)] = out;
    rank.rank() == 0 ? ranks.exchange(exec, "one way", one, none) : ranks.exchange(exec, "one way", none, one);
    CHECK(to_host<float>(exec, out) == std::vector<float>(18, 1));
    // Parts that are packed and equal, and a sum in NCCL's order, are NCCL's own.
    Tensor whole(exec, {4, 8}, Dtype::f32);
    ranks.all_gather(exec, whole, whole.row_range(2 * rank.rank(), 2));
    Tensor sum = from_host(exec, {2, 9}, Dtype::bf16, std::vector<double>(18, 1.5));
    ranks.plain_sum(exec, sum);
    CHECK(to_host<double>(exec, sum) == std::vector<double>(18, 3));
}

TEST_CASE("tensors of the ranks' device are NCCL's in groups without padding, those of the host the transport's") {
    if (!fake_is_here()) return;
    FakeRanks fake;
    CHECK(run_case_on_tcp_ranks(2, "as an NCCL rank: two devices") == 0);
    std::string both = "send 72 1\nreceive 72 1\nend\n", gather_and_sum = "all_gather 64 1\nend\nall_reduce 18 9\nend\nfinalize\ndestroy\n";
    CHECK(fake.log_of(0) == "init 2 0\n" + both + "send 72 1\nend\n" + gather_and_sum);
    CHECK(fake.log_of(1) == "init 2 1\nsend 72 0\nreceive 72 0\nend\nreceive 72 0\nend\n" + gather_and_sum);
}

TEST_CASE("as an NCCL rank: one dies" * doctest::skip()) {
    FakeRank rank(60);
    rank.gather();
    if (rank.rank() == 1) kill(getpid(), SIGKILL);
    Clock::time_point begin = Clock::now();
    std::string expected = "[all_gather] rank 1 died (process ";
    CHECK_THROWS_WITH_AS(rank.gather(), doctest::Contains(expected.c_str()), RankLost);
    CHECK(seconds_since(begin) < 2);
    // Whoever asks later hears it again.
    CHECK_THROWS_WITH_AS(rank.gather(), doctest::Contains(expected.c_str()), RankLost);
}

TEST_CASE("where an NCCL rank dies the other aborts what it waits for and names rank and collective") {
    if (!fake_is_here()) return;
    FakeRanks fake;
    CHECK(run_case_on_tcp_ranks(2, "as an NCCL rank: one dies") == 128 + SIGKILL);
    CHECK(fake.log_of(0).ends_with("all_gather 12 1\nend\nabort\n"));
}

TEST_CASE("as an NCCL rank: one hangs" * doctest::skip()) {
    FakeRank rank(0.5);
    rank.gather();
    if (rank.rank() == 1) {
        usleep(3'000'000);
        std::_Exit(0);
    }
    Clock::time_point begin = Clock::now();
    CHECK_THROWS_WITH_AS(rank.gather(), doctest::Contains("gave rank 0 no answer for 0.5 s; hint: --rank-timeout"), RankLost);
    CHECK(seconds_since(begin) < 2);
}

TEST_CASE("an NCCL rank that hangs is named after the patience, and as long again") {
    if (!fake_is_here()) return;
    FakeRanks fake;
    CHECK(run_case_on_tcp_ranks(2, "as an NCCL rank: one hangs") == 0);
}

TEST_CASE("as an NCCL rank: one never joins" * doctest::skip()) {
    nccl::Library nccl = nccl::open_library(MOEGRAD_FAKE_NCCL);
    std::unique_ptr<Transport> transport = tcp_transport(meeting_of_test(), 0.5);
    if (transport->rank() == 1) {
        nccl.init = [](nccl::Comm*, int, nccl::UniqueId, int, nccl::Config*) { return usleep(3'000'000), std::_Exit(0), 0; };
    }
    CHECK_THROWS_WITH_AS(NcclComm(nccl, *transport, kHost, 0.5), doctest::Contains("[nccl] rank 1 (process "), RankLost);
}

TEST_CASE("ranks that wait for one that never joins end in time") {
    if (!fake_is_here()) return;
    FakeRanks fake;
    CHECK(run_case_on_tcp_ranks(2, "as an NCCL rank: one never joins") == 0);
    CHECK(fake.log_of(0) == "init 2 0\nabort\n");
}

TEST_CASE("as an NCCL rank: NCCL fails" * doctest::skip()) {
    FakeRank rank(20);
    rank.gather();
    if (rank.rank() == 0) {
        CHECK_THROWS_WITH_AS(rank.gather(), doctest::Contains("[all_gather] rank 0: NCCL failed: fake failure; hint: NCCL_DEBUG=INFO"),
                             Error);
    } else {
        CHECK_THROWS_WITH_AS(rank.gather(), doctest::Contains("[all_gather] rank 0 died (process "), RankLost);
    }
}

TEST_CASE("an error that NCCL reports later ends the rank that has it at once, and the others with it") {
    if (!fake_is_here()) return;
    // An unhandled CUDA error in the second group.
    FakeRanks fake;
    Variable fault("FAKE_NCCL_FAIL", "0:1:1");
    CHECK(run_case_on_tcp_ranks(2, "as an NCCL rank: NCCL fails") == 0);
    CHECK(fake.log_of(0).ends_with("end\nabort\n"));
}

TEST_CASE("as an NCCL rank: the network fails" * doctest::skip()) {
    FakeRank rank(meeting_of_test().rank == 0 ? 20 : 0.5);
    rank.gather();
    const char* expected =
        rank.rank() == 0 ? "[all_gather] rank 0: NCCL failed: fake failure" : "a rank gave rank 1 no answer for 0.5 s, and answers now";
    CHECK_THROWS_WITH_AS(rank.gather(), doctest::Contains(expected), RankLost);
}

TEST_CASE("as an NCCL rank: the network fails while the other is elsewhere" * doctest::skip()) {
    FakeRank rank(20, {DeviceKind::simt, 0});
    rank.gather();
    if (rank.rank() == 0) {
        CHECK_THROWS_WITH_AS(rank.gather(), doctest::Contains("[all_gather] rank 0: NCCL failed: fake failure"), RankLost);
    } else {
        Exec host;
        Tensor whole = zeros(host, {2, 3}, Dtype::f32);
        CHECK_THROWS_WITH_AS(rank.communicator->all_gather(host, whole, whole.row_range(1, 1)), doctest::Contains("ranks disagree"), Error);
    }
}

TEST_CASE("where NCCL lost the network and every rank still answers, each tells what it saw") {
    if (!fake_is_here()) return;
    // A remote error in the second group.
    FakeRanks fake;
    Variable fault("FAKE_NCCL_FAIL", "0:1:6");
    CHECK(run_case_on_tcp_ranks(2, "as an NCCL rank: the network fails") == 0);
    CHECK(run_case_on_tcp_ranks(2, "as an NCCL rank: the network fails while the other is elsewhere") == 0);
}

TEST_CASE("two ranks on one GPU are refused by name, unless NCCL takes them for two hosts or was told to allow it") {
    auto place = [](std::uint64_t host, const char* gpu) {
        GpuPlace made{.host = host, .device = 3, .nccl = 22809};
        std::strcpy(made.gpu.data(), gpu);
        return made;
    };
    GpuPlace a = place(1, "0000:3b:00.0"), b = place(1, "0000:86:00.0"), elsewhere = place(2, "0000:3b:00.0"), no_gpu = place(1, "");
    check_gpu_places({a}, false);
    check_gpu_places({a, b}, false);
    check_gpu_places({a, elsewhere, b}, false);
    check_gpu_places({no_gpu, no_gpu}, false);
    check_gpu_places({a, a}, true);
    CHECK_THROWS_WITH_AS(
        check_gpu_places({b, a, elsewhere, a}, false),
        doctest::Contains("[ranks] ranks 1 and 3 share one GPU, 0000:3b:00.0 (cuda:3), which NCCL refuses; hint: a GPU for every "
                          "rank of a machine; to test ranks on one GPU, start each with an NCCL_HOSTID of its own"),
        UnfitRanks);
    GpuPlace older = b;
    older.nccl = 22005;
    CHECK_THROWS_WITH_AS(check_gpu_places({a, older}, true), doctest::Contains("rank 0 has 2.28.9, rank 1 has 2.20.5"), UnfitRanks);
}

TEST_CASE("a rank's host is NCCL_HOSTID where there is one") {
    GpuPlace machine = gpu_place(kHost, 22809);
    CHECK(machine.host == gpu_place(kHost, 22809).host);
    CHECK(machine.gpu[0] == 0);
    std::vector<std::uint64_t> hosts{machine.host};
    for (const char* id : {"r0", "r1"}) {
        Variable host("NCCL_HOSTID", id);
        hosts.push_back(gpu_place(kHost, 22809).host);
    }
    CHECK(hosts[0] != hosts[1]);
    CHECK(hosts[1] != hosts[2]);
}
