#include "engine/simt/log.h"
#include "tests/support/simt_kernels.h"
#include "tests/support/simt_orders.h"

#include <numeric>
#include <thread>

#include <doctest/doctest.h>

using namespace simt_kernels;

TEST_CASE("every thread of every block runs once and knows its place, in every order") {
    for_each_simt_order([] {
        for (unsigned threads : {1u, 7u, 32u, 33u, 1024u}) {
            std::vector<int> y = thread_numbers(3, threads);
            for (unsigned i = 0; i < y.size(); ++i) CHECK(y[i] == static_cast<int>(i / threads * 10000 + i % threads));
        }
    });
}

TEST_CASE("blocks and grids of three dimensions visit every coordinate once") {
    for (int count : coordinates(2, 3, 5)) CHECK(count == 1);
}

TEST_CASE("a grid without blocks runs nothing and is not logged") {
    nothing(0, 32, 0);
    CHECK(!engine::simt::launched_kernels().contains("nothing_kernel"));
    nothing(1, 32, 0);
    CHECK(engine::simt::launched_kernels().contains("nothing_kernel"));
}

TEST_CASE("impossible blocks are refused") {
    CHECK_THROWS_WITH(nothing(1, 1025, 0), doctest::Contains("block of (1025,1,1) threads"));
    CHECK_THROWS_WITH(nothing(1, 0, 0), doctest::Contains("block of (0,1,1) threads"));
    CHECK_THROWS_WITH(nothing(1, 1, 1 << 20), doctest::Contains("dynamic shared memory"));
}

TEST_CASE("a block of 1024 threads passes many barriers") { CHECK_NOTHROW(barriers(1024, 50)); }

TEST_CASE("several OS threads launch at once") {
    std::vector<float> x(64 * 128);
    std::iota(x.begin(), x.end(), 0.0f);
    std::vector<float> expected = block_sums(x, 64, 128), results[3];
    std::vector<std::thread> threads;
    for (auto& result : results) threads.emplace_back([&] { result = block_sums(x, 64, 128); });
    for (std::thread& thread : threads) thread.join();
    for (const auto& result : results) CHECK(result == expected);
}

TEST_CASE("integer atomics count every thread, in every order") {
    for_each_simt_order([] { CHECK(count_with_atomics(5, 100) == 500); });
}
