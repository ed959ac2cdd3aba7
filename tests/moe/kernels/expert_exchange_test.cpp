#include "moe/kernels/expert_exchange.h"

#include "engine/base/visit.h"
#include "engine/kernels/grouped_product.h"
#include "engine/tensor/transfer.h"
#include "moe/kernels/route_sort.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using namespace moe::kernels;

namespace {

using Ids = std::vector<std::int32_t>;

// Choices of N·K among E experts, every fifth of them not kept.
Ids drawn_ids(Size count, Size E) {
    auto draws = tests::random_values(count, 9);
    Ids ids;
    for (double draw : draws) ids.push_back(ids.size() % 5 == 4 ? -1 : static_cast<std::int32_t>((draw + 1) / 2 * static_cast<double>(E)));
    return ids;
}

}  // namespace

TEST_CASE_DEVICES("ids are split among the ranks that own them; what nobody computes stays with nobody") {
    Size N = 7, K = 3, E = 6, P = 3;
    Ids ids = drawn_ids(N * K, E);
    Tensor on = from_host(exec, {N, K}, Dtype::i32, ids), own(exec, {N, K}, Dtype::i32), owner(exec, {N, K}, Dtype::i32),
           of_rows(exec, {N, P}, Dtype::i32);
    visit_device(exec, [&]<class D>(D) {
        own_ids<D>(exec, own.data<std::int32_t>(), on.data<std::int32_t>(), N * K, 2, 2);
        owners<D>(exec, owner.data<std::int32_t>(), on.data<std::int32_t>(), N * K, 2);
        owners_of_rows<D>(exec, of_rows.data<std::int32_t>(), on.data<std::int32_t>(), N, K, P, 2);
    });
    Ids expected_own, expected_owner, expected_rows(static_cast<std::size_t>(N * P), -1);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        expected_own.push_back(ids[i] == 2 ? 0 : ids[i] == 3 ? 1 : -1);
        expected_owner.push_back(ids[i] < 0 ? -1 : ids[i] / 2);
        if (ids[i] >= 0) expected_rows[i / 3 * 3 + static_cast<std::size_t>(ids[i] / 2)] = ids[i] / 2;
    }
    CHECK(to_host<std::int32_t>(exec, own) == expected_own);
    // Every other choice has a slot.
    Ids slots;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        slots.push_back(i % 2 == 0 ? static_cast<std::int32_t>(i) : -1);
        if (i % 2 == 1) expected_own[i] = -1;
    }
    Tensor slot = from_host(exec, {N, K}, Dtype::i32, slots);
    visit_device(exec, [&]<class D>(D) {
        own_ids<D>(exec, own.data<std::int32_t>(), on.data<std::int32_t>(), N * K, 2, 2, slot.data<std::int32_t>());
    });
    CHECK(to_host<std::int32_t>(exec, own) == expected_own);
    CHECK(to_host<std::int32_t>(exec, owner) == expected_owner);
    CHECK(to_host<std::int32_t>(exec, of_rows) == expected_rows);
}

TEST_CASE_DEVICES("rows are taken and put by index, also through a second one, and an index of -1 leaves everything as it is") {
    Size R = 6, C = 11;
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        Tensor x = from_host(exec, {R, C}, dtype, tests::random_values(R * C, 3));
        Tensor index = from_host(exec, {4}, Dtype::i32, Ids{5, 0, 2, 3}), through = from_host(exec, {R}, Dtype::i32, Ids{1, 9, 4, 0, 5, 3});
        Tensor taken(exec, {4, C}, dtype), taken_through(exec, {4, C}, dtype), back = zeros(exec, {R, C}, dtype);
        visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
            take_rows<D, T>(exec, taken.rows<T>(), x.rows<T>(), index.data<std::int32_t>());
            take_rows<D, T>(exec, taken_through.rows<T>(), x.rows<T>(), index.data<std::int32_t>(), through.data<std::int32_t>());
            put_rows<D, T>(exec, back.rows<T>(), taken.rows<T>(), index.data<std::int32_t>());
        });
        auto row = [&](const Tensor& tensor, Size r) { return to_host<double>(exec, tensor.row_range(r, 1)); };
        const Size from[] = {5, 0, 2, 3}, from_through[] = {3, 1, 4, 0};
        for (Size i = 0; i < 4; ++i) {
            CHECK(row(taken, i) == row(x, from[i]));
            CHECK(row(taken_through, i) == row(x, from_through[i]));
            CHECK(row(back, from[i]) == row(x, from[i]));
        }
        CHECK(row(back, 1) == std::vector<double>(static_cast<std::size_t>(C), 0.0));
        Tensor some = from_host(exec, {4}, Dtype::i32, Ids{-1, 2, -1, 4}),
               kept = from_host(exec, {4, C}, dtype, tests::random_values(4 * C, 8));
        std::vector<double> before = row(kept, 0);
        visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
            take_rows<D, T>(exec, kept.rows<T>(), x.rows<T>(), some.data<std::int32_t>(), through.data<std::int32_t>());
            put_rows<D, T>(exec, back.rows<T>(), x.rows<T>().slice(0, 4), some.data<std::int32_t>());
        });
        CHECK(row(kept, 0) == before);
        CHECK(row(kept, 1) == row(x, 4));
        CHECK(row(kept, 3) == row(x, 5));
        CHECK(row(back, 2) == row(x, 1));
        CHECK(row(back, 4) == row(x, 3));
        CHECK(row(back, 3) == row(x, 3));
    }
}

TEST_CASE_DEVICES("products of each choice, added by token, have the bits of the combining product") {
    for (auto [N, K, E, C, G] : {std::tuple<Size, Size, Size, Size, Size>{1, 1, 1, 1, 1}, {29, 4, 5, 19, 7}, {70, 3, 4, 40, 33}}) {
        Ids ids = drawn_ids(N * K, E);
        if (N == 1) ids = {0};
        Tensor on = from_host(exec, {N, K}, Dtype::i32, ids), offsets(exec, {E + 1}, Dtype::i32), token(exec, {N * K}, Dtype::i32),
               position(exec, {N, K}, Dtype::i32), begin(exec, {2, E}, Dtype::i32);
        visit_device(exec, [&]<class D>(D) {
            route_sort<D>(
                exec, {offsets.data<std::int32_t>(), token.data<std::int32_t>(), position.data<std::int32_t>(), begin.data<std::int32_t>()},
                on.data<std::int32_t>(), N, K, E, 1);
        });
        engine::kernels::Groups groups{
            E, N * K, offsets.data<std::int32_t>(), token.data<std::int32_t>(), position.data<std::int32_t>(), on.data<std::int32_t>(), K};
        for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
            for (bool variant : {false, true}) {
                using engine::kernels::Layout;
                Layout layout = variant ? Layout::transposed : Layout::normal;
                Tensor h = from_host(exec, {N * K, G}, dtype, tests::random_values(N * K * G, 1));
                Tensor w = from_host(exec, variant ? Shape{E * C, G} : Shape{E * G, C}, dtype, tests::random_values(E * C * G, 2));
                Tensor scale = from_host(exec, {N * K}, Dtype::f32, tests::random_values(N * K, 3));
                Tensor combined = from_host(exec, {N, C}, dtype, tests::random_values(N * C, 4)), rows(exec, {N * K, C}, Dtype::f32);
                Tensor summed = from_host(exec, {N, C}, dtype, tests::random_values(N * C, 4));
                visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                    const Sum<T>* factor = variant ? nullptr : scale.data<Sum<T>>();
                    engine::kernels::grouped_combine_product<D, T>(exec, combined.rows<T>(), variant, h.rows<T>(), factor, w.rows<T>(),
                                                                   layout, groups);
                    engine::kernels::grouped_rows_product<D, T>(exec, rows.rows<Sum<T>>(), h.rows<T>(), factor, w.rows<T>(), layout,
                                                                groups);
                    sum_routed_rows<D, T>(exec, summed.rows<T>(), variant, rows.rows<Sum<T>>(), groups.position, groups.ids, K);
                });
                CHECK(to_host<double>(exec, summed) == to_host<double>(exec, combined));
            }
        }
    }
}
