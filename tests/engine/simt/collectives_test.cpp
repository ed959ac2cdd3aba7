#include "tests/support/simt_kernels.h"
#include "tests/support/simt_orders.h"

#include <limits>

#include <doctest/doctest.h>

using namespace simt_kernels;

TEST_CASE("shuffles take from the lane that CUDA's guide names, in every order") {
    for_each_simt_order([] {
        for (int width : {4, 16, 32}) {
            std::vector<int> index = shuffled("index", 3, width), exclusive = shuffled("xor", 6, width), down = shuffled("down", 3, width),
                             up = shuffled("up", 3, width);
            for (int i = 0; i < 32; ++i) {
                int segment = i / width, last = segment * width + width - 1, first = segment * width;
                std::size_t at = static_cast<std::size_t>(i);
                CHECK(index[at] == 100 + first + 3);
                CHECK(exclusive[at] == 100 + ((i ^ 6) / width <= segment ? i ^ 6 : i));
                CHECK(down[at] == 100 + (i + 3 <= last ? i + 3 : i));
                CHECK(up[at] == 100 + (i - 3 >= first ? i - 3 : i));
            }
        }
    });
}

TEST_CASE("shuffles carry 64 bits") {
    std::vector<long long> y = shuffled_wide();
    for (int i = 0; i < 64; ++i) CHECK(y[static_cast<std::size_t>(i)] == (1ll << 40) + (i ^ 1));
}

TEST_CASE("votes count the lanes of the mask only, in every order") {
    for_each_simt_order([] {
        for (unsigned mask : {0xffffffffu, 0x0000fff3u, 0x00000020u, 0xffff0000u}) {
            std::vector<unsigned> y = votes(mask);
            unsigned thirds = 0;
            for (unsigned i = 0; i < 32; i += 3) thirds |= 1u << i;
            bool five = mask >> 5 & 1;
            for (unsigned i = 0; i < 32; ++i) {
                bool named = mask >> i & 1;
                CHECK(y[i] == (named ? thirds & mask : 77u));
                CHECK(y[32 + i] == (named ? (five ? 1u : 0u) + 2u + (five ? 0u : 4u) : 77u));
            }
        }
    });
}

TEST_CASE("block_sum adds over one fixed tree: the same bits in every thread, block and order") {
    for (unsigned threads : {32u, 64u, 96u, 256u, 1024u}) {
        std::vector<float> x(3 * threads);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(1 + i % threads * 7 % 31);
        double expected = 0;
        for (unsigned i = 0; i < threads; ++i) expected += static_cast<double>(x[i]);
        float first = block_sums(x, 3, threads)[0];
        // Ten roundings at most, each of half a unit in the last place, of sums that only grow.
        CHECK(first == doctest::Approx(expected).epsilon(10 * 0.5 * std::numeric_limits<float>::epsilon()));
        for_each_simt_order([&] {
            for (float sum : block_sums(x, 3, threads)) CHECK(sum == first);
        });
    }
}

TEST_CASE("block_max finds the largest of each block, negative ones too") {
    std::vector<float> x(2 * 96);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = -1.0f - static_cast<float>(i * 37 % 96) - (i >= 96 ? 100.0f : 0.0f);
    std::vector<float> y = block_maxima(x, 2, 96);
    for (std::size_t i = 0; i < y.size(); ++i) CHECK(y[i] == (i < 96 ? -1.0f : -101.0f));
}
