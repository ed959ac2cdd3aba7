#include "moe/kernels/pair_slots.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"
#include "tests/support/simt_orders.h"

using namespace engine;
using namespace moe::kernels;

namespace {

using Ids = std::vector<std::int32_t>;

struct Placed {
    Ids row, choice, slot, need;
    bool operator==(const Placed&) const = default;
};

// Ids of N rows among `owners` owners of `experts` each, a fifth of the choices none; nobody chooses the last owner's.
Ids drawn_ids(Size N, Size K, Size owners, Size experts) {
    Ids ids;
    for (double draw : tests::random_values(N * K, 4)) {
        Size among = owners > 1 ? (owners - 1) * experts : experts;
        ids.push_back(ids.size() % 5 == 4 ? -1 : static_cast<std::int32_t>((draw + 1) / 2 * static_cast<double>(among)));
    }
    return ids;
}

// Slots one behind another, as many a pair as `room` says.
std::vector<Pair> with_slots(std::vector<Pair> pairs, const std::vector<std::pair<Size, Size>>& room) {
    std::int32_t rows = 0, choices = 0;
    for (std::size_t p = 0; p < pairs.size(); ++p) {
        auto [most_rows, most_choices] = room[p % room.size()];
        pairs[p].row_slots = {rows, static_cast<std::int32_t>(most_rows)};
        pairs[p].choice_slots = {choices, static_cast<std::int32_t>(most_choices)};
        rows += pairs[p].row_slots.count, choices += pairs[p].choice_slots.count;
    }
    return pairs;
}

Placed place(Exec& exec, const Ids& ids, Size K, Size experts, const std::vector<Pair>& pairs) {
    Size N = static_cast<Size>(ids.size()) / K, rows = pairs.back().row_slots.first + pairs.back().row_slots.count,
         choices = pairs.back().choice_slots.first + pairs.back().choice_slots.count;
    Tensor on = from_host(exec, {N, K}, Dtype::i32, ids), row(exec, {rows}, Dtype::i32), choice(exec, {choices}, Dtype::i32),
           slot(exec, {N, K}, Dtype::i32), need(exec, {2 * static_cast<Size>(pairs.size())}, Dtype::i32);
    visit_device(exec, [&]<class D>(D) {
        pair_slots<D>(exec, {row.data<std::int32_t>(), choice.data<std::int32_t>(), slot.data<std::int32_t>(), need.data<std::int32_t>()},
                      on.data<std::int32_t>(), N, K, experts, pairs);
    });
    auto values = [&](const Tensor& tensor) { return to_host<std::int32_t>(exec, tensor); };
    return {values(row), values(choice), values(slot), values(need)};
}

// From the words of the header: lists of what would travel, cut where the slots end.
Placed reference(const Ids& ids, Size K, Size experts, const std::vector<Pair>& pairs) {
    Placed placed{{}, {}, Ids(ids.size(), -1), Ids(2 * pairs.size())};
    for (std::size_t p = 0; p < pairs.size(); ++p) {
        const Pair& pair = pairs[p];
        Ids rows, choices;
        std::vector<std::size_t> row_of_choice;
        for (std::int32_t n = pair.first_row; n < pair.first_row + pair.rows; ++n) {
            Size before = static_cast<Size>(choices.size());
            for (Size k = 0; k < K; ++k) {
                std::int32_t id = ids[static_cast<std::size_t>(n * K + k)];
                if (id < 0 || id / experts != pair.owner) continue;
                choices.push_back(static_cast<std::int32_t>(n * K + k));
                row_of_choice.push_back(rows.size());
            }
            if (static_cast<Size>(choices.size()) > before) rows.push_back(n);
        }
        placed.need[p] = static_cast<std::int32_t>(rows.size());
        placed.need[p + pairs.size()] = static_cast<std::int32_t>(choices.size());
        for (std::size_t j = 0; j < choices.size(); ++j) {
            if (row_of_choice[j] >= static_cast<std::size_t>(pair.row_slots.count)) choices[j] = -1;
        }
        rows.resize(static_cast<std::size_t>(pair.row_slots.count), -1);
        choices.resize(static_cast<std::size_t>(pair.choice_slots.count), -1);
        for (std::size_t j = 0; j < choices.size(); ++j) {
            if (choices[j] >= 0) placed.slot[static_cast<std::size_t>(choices[j])] = pair.choice_slots.first + static_cast<std::int32_t>(j);
        }
        placed.row.insert(placed.row.end(), rows.begin(), rows.end());
        placed.choice.insert(placed.choice.end(), choices.begin(), choices.end());
    }
    return placed;
}

// One source and every owner; and every source of equal or unequal rows and one owner.
std::vector<Pair> to_owners(Size N, Size owners) {
    std::vector<Pair> pairs;
    for (Size p = 0; p < owners; ++p) pairs.push_back({0, static_cast<std::int32_t>(N), static_cast<std::int32_t>(p), {}, {}});
    return pairs;
}
std::vector<Pair> from_sources(const std::vector<Size>& rows, Size owner) {
    std::vector<Pair> pairs;
    std::int32_t first = 0;
    for (Size count : rows) {
        pairs.push_back({first, static_cast<std::int32_t>(count), static_cast<std::int32_t>(owner), {}, {}});
        first += static_cast<std::int32_t>(count);
    }
    return pairs;
}

}  // namespace

TEST_CASE_DEVICES(
    "rows and choices of every pair take its slots in order, and what a pair needs is counted where they do not suffice, too") {
    struct Case {
        Size N, K, owners, experts;
    };
    for (auto [N, K, owners, experts] : {Case{1, 1, 1, 1}, Case{7, 3, 2, 2}, Case{530, 2, 3, 5}, Case{1100, 3, 4, 2}, Case{40, 2, 67, 1}}) {
        CAPTURE(N);
        CAPTURE(owners);
        Ids ids = drawn_ids(N, K, owners, experts);
        for (auto& room : {std::vector<std::pair<Size, Size>>{{N, N * K}}, {{N / 2, N * K / 3}}, {{N, 2}, {1, N}, {3, 7}, {0, 0}}}) {
            std::vector<Pair> home = with_slots(to_owners(N, owners), room);
            CHECK(place(exec, ids, K, experts, home) == reference(ids, K, experts, home));
            for (Size owner : {Size{0}, owners - 1}) {
                std::vector<Pair> here = with_slots(from_sources({N / 4, 0, N - N / 4}, owner), room);
                CHECK(place(exec, ids, K, experts, here) == reference(ids, K, experts, here));
            }
        }
    }
}

TEST_CASE("both ends of a pair give its rows and choices the same slots") {
    Exec exec{.pool = &pool_of({})};
    const Size N = 60, K = 3, owners = 3, experts = 2;
    Ids first = drawn_ids(N, K, owners, experts), all = first;
    all.insert(all.begin(), first.rbegin(), first.rend());
    for (std::int32_t owner = 0; owner < owners; ++owner) {
        std::vector<Pair> home = with_slots(to_owners(N, owners), {{20, 40}}), here = with_slots(from_sources({N, N}, owner), {{20, 40}});
        Placed sent = place(exec, first, K, experts, home), received = place(exec, all, K, experts, here);
        for (std::size_t i = 0; i < 20; ++i) {
            std::int32_t row = sent.row[static_cast<std::size_t>(owner) * 20 + i], there = received.row[20 + i];
            CHECK(there == (row < 0 ? -1 : row + N));
        }
        for (std::size_t i = 0; i < 40; ++i) {
            std::int32_t choice = sent.choice[static_cast<std::size_t>(owner) * 40 + i], there = received.choice[40 + i];
            CHECK(there == (choice < 0 ? -1 : choice + N * K));
        }
    }
}

TEST_CASE("slots are the same whatever the order of simt's threads") {
    Exec exec{.device = {DeviceKind::simt, 0}, .pool = &pool_of({DeviceKind::simt, 0})};
    Ids ids = drawn_ids(70, 2, 3, 2);
    std::vector<Pair> pairs = with_slots(to_owners(70, 3), {{20, 40}});
    for_each_simt_order([&] { CHECK(place(exec, ids, 2, 2, pairs) == reference(ids, 2, 2, pairs)); });
}
