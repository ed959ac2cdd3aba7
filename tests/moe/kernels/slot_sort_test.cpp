#include "moe/kernels/slot_sort.h"

#include "engine/base/threads.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <algorithm>
#include <numeric>

using namespace engine;

namespace {

struct Sizes {
    Size R, M;
};

std::vector<std::int32_t> random_rows(Size R, Size M) {
    std::vector<std::int32_t> ids;
    for (double value : tests::random_values(R, 5)) ids.push_back(static_cast<std::int32_t>((value + 1) / 2 * static_cast<double>(M)));
    return ids;
}

struct Sorted {
    std::vector<std::int32_t> offsets, order;
    bool operator==(const Sorted&) const = default;
};

Sorted sort_on(Exec& exec, const std::vector<std::int32_t>& ids, Size M) {
    Size R = static_cast<Size>(ids.size());
    Tensor in = from_host(exec, {R}, Dtype::i32, ids), offsets(exec, {M + 1}, Dtype::i32), order(exec, {R}, Dtype::i32);
    visit_device(exec, [&]<class D>(D) {
        moe::kernels::slot_sort<D>(exec, offsets.data<std::int32_t>(), order.data<std::int32_t>(), in.data<std::int32_t>(), R, M);
    });
    return {to_host<std::int32_t>(exec, offsets), to_host<std::int32_t>(exec, order)};
}

Sorted reference(const std::vector<std::int32_t>& ids, Size M) {
    Sorted sorted{{}, std::vector<std::int32_t>(ids.size())};
    std::iota(sorted.order.begin(), sorted.order.end(), 0);
    auto row = [&](std::int32_t choice) { return ids[static_cast<std::size_t>(choice)]; };
    std::stable_sort(sorted.order.begin(), sorted.order.end(), [&](auto a, auto b) { return row(a) < row(b); });
    for (Size m = 0; m <= M; ++m) {
        sorted.offsets.push_back(static_cast<std::int32_t>(std::count_if(ids.begin(), ids.end(), [&](auto id) { return id < m; })));
    }
    return sorted;
}

}  // namespace

TEST_CASE_DEVICES("choices are sorted by row, stably, whatever the number of rows") {
    for (auto [R, M] : {Sizes{0, 3}, Sizes{1, 1}, Sizes{40, 1}, Sizes{257, 16}, Sizes{1025, 17}, Sizes{3001, 401}, Sizes{100, 70000}}) {
        auto ids = random_rows(R, M);
        CHECK(sort_on(exec, ids, M) == reference(ids, M));
    }
}

TEST_CASE("many choices are sorted alike by any number of threads") {
    Exec exec;
    auto ids = random_rows(100003, 997);
    set_threads(1);
    Sorted one = sort_on(exec, ids, 997);
    set_threads(3);
    CHECK(sort_on(exec, ids, 997) == one);
    set_threads(2);
    CHECK(std::is_sorted(one.order.begin(), one.order.end(), [&](std::int32_t a, std::int32_t b) {
        auto x = static_cast<std::size_t>(a), y = static_cast<std::size_t>(b);
        return ids[x] != ids[y] ? ids[x] < ids[y] : a < b;
    }));
}
