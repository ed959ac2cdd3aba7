#include "engine/base/threads.h"

#include <atomic>
#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>

using namespace engine;

TEST_CASE("parallel_for runs every task once, at any number of threads") {
    for (int count : {1, 2, 3}) {
        set_threads(count);
        for (Size tasks : {0, 1, 2, 7, 1000}) {
            std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks));
            parallel_for(tasks, [&](Size task) { ++runs[static_cast<std::size_t>(task)]; });
            for (const auto& run : runs) CHECK(run == 1);
        }
    }
    set_threads(2);
}

TEST_CASE("parallel_for inside a task runs in order on the same thread") {
    parallel_for(4, [](Size) {
        std::vector<Size> order;
        parallel_for(5, [&](Size inner) { order.push_back(inner); });
        CHECK(order == std::vector<Size>{0, 1, 2, 3, 4});
    });
}

TEST_CASE("an exception in a task reaches the caller and leaves the pool usable") {
    CHECK_THROWS_AS(parallel_for(8,
                                 [](Size task) {
                                     if (task == 3) throw std::runtime_error("task");
                                 }),
                    std::runtime_error);
    std::atomic<int> runs = 0;
    parallel_for(8, [&](Size) { ++runs; });
    CHECK(runs == 8);
}
