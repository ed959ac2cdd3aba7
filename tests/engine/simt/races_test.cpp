#include "tests/support/simt_orders.h"
#include "tests/support/simt_races.h"

#include <doctest/doctest.h>

using namespace simt_races;

// GCC cannot watch for races and run AddressSanitizer in one program.
#ifndef __SANITIZE_ADDRESS__
TEST_CASE("the kernels below are compiled with the race detector's hooks") { CHECK(watched()); }
#endif

TEST_CASE("the race detector reports each kind of wrong use of shared memory, in every order" * doctest::skip(!watched())) {
    for_each_simt_order([] {
        CHECK_THROWS_WITH(read_unwritten(), doctest::Contains("shared memory is read before it is written: thread 3, in shared_memory<"));
        CHECK_THROWS_WITH(write_write(), doctest::Contains("write–write race"));
        CHECK_THROWS_WITH(missing_second_barrier(), doctest::Contains("race: threads "));
        CHECK_THROWS_WITH(shuffle_is_no_barrier(), doctest::Contains("with no barrier between"));
        CHECK_THROWS_WITH(read_between_slots(), doctest::Contains("shared memory is read out of bounds by thread 0"));
    });
}

TEST_CASE("the race detector reports races in global memory, between blocks too, in every order" * doctest::skip(!watched())) {
    for_each_simt_order([] {
        CHECK_THROWS_WITH(blocks_write_one_place(), doctest::Contains("write–write race: threads"));
        CHECK_THROWS_WITH(blocks_write_one_place(), doctest::Contains(", the first in block "));
        CHECK_THROWS_WITH(blocks_read_each_other(), doctest::Contains("race: threads 0 and 0, the first in block "));
        CHECK_THROWS_WITH(global_without_barrier(), doctest::Contains("with no barrier between, in global memory at 0x"));
    });
}

TEST_CASE("a report names the two threads, the memory and the byte" * doctest::skip(!watched())) {
    SimtOrder forward({});
    CHECK_THROWS_WITH(write_then_read(),
                      doctest::Contains("kernel write_then_read_kernel, block (0,0,0): write–read race: threads 0 and 40, with no barrier "
                                        "between, in shared_memory<simt_races::Row>() at byte 20, code at "));
    CHECK_THROWS_WITH(read_then_write(), doctest::Contains("read–write race: threads 0 and 40"));
}

TEST_CASE("the race detector is silent on right kernels, in every order") {
    for_each_simt_order([] {
        int y[128];
        float z[128];
        CHECK_NOTHROW(right_block_exchange(y));
        CHECK(y[0] == 64);
        CHECK_NOTHROW(right_warp_exchange(y));
        CHECK(y[33] == (33 ^ 31));
        CHECK_NOTHROW(right_reductions(z));
        CHECK(z[5] == 127 * 128 + 127);
        CHECK_NOTHROW(right_global(y));
        CHECK(y[0] == 256);
        CHECK_NOTHROW(right_atomics(y));
        CHECK(y[0] == 64);
    });
}
