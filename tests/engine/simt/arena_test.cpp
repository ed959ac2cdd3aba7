#include "engine/simt/arena.h"

#include "tests/support/simt_kernels.h"

#include <cmath>
#include <cstring>

#include <doctest/doctest.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

using namespace engine::simt;

TEST_CASE("shared memory that nobody wrote is NaN") {
    CHECK(std::isnan(simt_kernels::unwritten_shared()));
    CHECK(std::isnan(simt_kernels::unwritten_dynamic(4000)));
}

TEST_CASE("each block finds its slots filled with 0xff bytes, and one key is one memory") {
    Arena arena;
    const char keys[2] = {};
    for (int block = 0; block < 2; ++block) {
        arena.begin_block(100);
        auto* a = static_cast<unsigned char*>(arena.slot(&keys[0], "a", 13, 1));
        auto* b = static_cast<unsigned char*>(arena.slot(&keys[1], "b", 64, 64));
        CHECK(arena.slot(&keys[0], "a", 13, 1) == a);
        CHECK(reinterpret_cast<std::uintptr_t>(b) % 64 == 0);
        CHECK((b >= a + 13 || a >= b + 64));
        for (int i = 0; i < 13; ++i) CHECK(a[i] == 0xff);
        memset(a, block, 13);
        memset(b, block, 64);
        CHECK(arena.overrun().empty());
    }
}

TEST_CASE("a slot ends to the byte") {
    Arena arena;
    const char key = 0;
    arena.begin_block(0);
    auto* slot = static_cast<unsigned char*>(arena.slot(&key, "T& shared_memory() [with T = Tile]", 13, 1));
#ifdef __SANITIZE_ADDRESS__
    CHECK(__asan_region_is_poisoned(slot, 13) == nullptr);
    CHECK(__asan_address_is_poisoned(slot + 13));
    CHECK(__asan_address_is_poisoned(slot + 60));
    arena.begin_block(0);
    CHECK(__asan_address_is_poisoned(slot));
#else
    slot[13] = 1;
    CHECK(arena.overrun() == "shared memory is written out of bounds: shared_memory<Tile>(), 13 bytes, at byte 13");
    arena.begin_block(0);
    CHECK(arena.overrun().empty());
#endif
}

TEST_CASE("shared memory has CUDA's limits") {
    CHECK_THROWS_WITH(simt_kernels::too_much_static(), doctest::Contains("static shared memory of a block: got 49153 bytes"));
    CHECK_THROWS_WITH(simt_kernels::too_much_dynamic(), doctest::Contains("takes 4096 bytes, launch() was told 4095"));
}
