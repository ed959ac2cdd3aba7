#include "tests/support/messages.h"
#include "tests/support/simt_kernels.h"
#include "tests/support/simt_orders.h"

#include <stdexcept>
#include <string>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace simt_kernels;
using tests::has;

namespace {

std::string what_it_throws(void (*kernel)()) { return tests::message_of<std::runtime_error>(kernel); }

}  // namespace

TEST_CASE("threads at different barriers are reported, with both places, in every order") {
    for_each_simt_order([] {
        std::string report = what_it_throws(other_barrier);
        CHECK(has(report, "[simt] kernel other_barrier_kernel, block (0,0,0): threads disagree:\n  __syncthreads at "));
        CHECK(has(report, ": 16 threads: 0-15\n"));
        CHECK(has(report, ": 48 threads: 16-63"));
    });
}

TEST_CASE("a thread that ends while others wait is reported, in every order") {
    for_each_simt_order([] {
        std::string report = what_it_throws(early_exit);
        CHECK(has(report, "kernel early_exit_kernel"));
        CHECK(has(report, "simt_kernels.cpp:"));
        CHECK(has(report, ": 40 threads: 0-39"));
        CHECK(has(report, "ended: 24 threads: 40-63"));
    });
}

TEST_CASE("a barrier that half of the threads reach is reported") {
    std::string report = what_it_throws(barrier_in_branch);
    CHECK(has(report, ": 4 threads: 0, 2, 4, 6"));
    CHECK(has(report, "ended: 4 threads: 1, 3, 5, 7"));
}

TEST_CASE("lanes that a mask names and that never come are reported") {
    std::string report = what_it_throws(missing_lane);
    CHECK(has(report, "__shfl_sync at "));
    CHECK(has(report, "mask 0xffffffff: 31 threads: 0-6, 8-31"));
    CHECK(has(report, "ended: 33 threads: 7, 32-63"));
}

TEST_CASE("a mask without the caller is reported") {
    SimtOrder forward({});
    CHECK(has(what_it_throws(mask_lacks_caller), "mask 0xfffffffe lacks the caller, thread 0"));
}

TEST_CASE("a shuffle from a lane that the mask does not name is reported") {
    SimtOrder forward({});
    CHECK(has(what_it_throws(source_outside_mask), "thread 0 takes from lane 20, which mask 0x0000ffff does not name"));
}

TEST_CASE("a mask that names lanes beyond the block is reported") {
    CHECK(has(what_it_throws(mask_beyond_block), "mask 0xffffffff names lanes that the block of 48 threads lacks"));
}

TEST_CASE("lanes of one mask in different shuffles are reported") {
    std::string report = what_it_throws(two_shuffles);
    CHECK(has(report, "mask 0xffffffff: 16 threads: 0-15"));
    CHECK(has(report, "mask 0xffffffff: 16 threads: 16-31"));
}

TEST_CASE("a kernel that launches a kernel is reported") {
    CHECK(has(what_it_throws(launch_in_kernel), "kernel nothing_kernel is launched by a kernel"));
}

TEST_CASE("a block that fails leaves nothing behind: destructors run, and right kernels go on") {
    for_each_simt_order([] {
        int alive = 0;
        CHECK_THROWS(fails_with_objects(&alive));
        CHECK(alive == 0);
        CHECK(count_with_atomics(2, 64) == 128);
    });
}

// AddressSanitizer ends the process at the access; the plain build reports it when the block ends.
TEST_CASE("a write behind shared memory is reported") {
#ifdef __SANITIZE_ADDRESS__
    pid_t child = fork();
    if (child == 0) {
        close(2);
        write_behind_shared();
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK((!WIFEXITED(status) || WEXITSTATUS(status) != 0));
#else
    CHECK(has(what_it_throws(write_behind_shared), "shared memory is written out of bounds"));
#endif
}
