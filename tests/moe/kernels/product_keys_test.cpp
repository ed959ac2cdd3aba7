// The slots of product keys against a search through all sums, on half-scores that are exact in fp32.
#include "moe/kernels/product_keys.h"

#include "engine/base/threads.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <numeric>

using namespace engine;
using moe::kernels::ProductKeys;

namespace {

struct Setting {
    Size N;
    ProductKeys keys;
    double grid = 8;  // values are whole multiples of 1/grid: small ones make many sums equal
};

std::vector<double> on_grid(Size count, std::uint64_t salt, double grid) {
    auto values = tests::random_values(count, salt);
    for (double& value : values) value = std::round(grid * value) / grid;
    return values;
}

struct Slots {
    std::vector<std::int32_t> ids;
    std::vector<float> scores;
    bool operator==(const Slots&) const = default;
};

Slots search(Exec& exec, Dtype dtype, Size N, const ProductKeys& keys, const std::vector<double>& q, const std::vector<double>& subkeys) {
    Tensor query = from_host(exec, {N, keys.query_columns()}, dtype, q),
           sets = from_host(exec, {keys.sub_key_rows(), keys.half}, dtype, subkeys);
    Size R = N * keys.heads * keys.k;
    Tensor ids(exec, {R}, Dtype::i32), scores(exec, {R}, Dtype::f32);
    visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
        if constexpr (!std::is_same_v<T, double>) {
            moe::kernels::product_key_top_k<D, T>(exec, ids.data<std::int32_t>(), scores.data<float>(), query.rows<T>(), sets.rows<T>(),
                                                  keys);
        }
    });
    return {to_host<std::int32_t>(exec, ids), to_host<float>(exec, scores)};
}

// All P² sums of fp32 half-scores, sorted.
Slots brute_force(Size N, const ProductKeys& keys, const std::vector<double>& q, const std::vector<double>& subkeys) {
    auto at = [](Size i) { return static_cast<std::size_t>(i); };
    Size P = keys.sub_keys, half = keys.half;
    Slots slots;
    for (Size n = 0; n < N; ++n) {
        for (Size h = 0; h < keys.heads; ++h) {
            std::vector<float> sums(at(P * P)), part[2];
            for (Size p = 0; p < 2; ++p) {
                for (Size i = 0; i < P; ++i) {
                    double score = 0;
                    for (Size d = 0; d < half; ++d) {
                        Size column = ((keys.shares_query ? 0 : h) * 2 + p) * half + d;
                        Size row = ((keys.shares_sub_keys ? 0 : h) * 2 + p) * P + i;
                        score += q[at(n * keys.query_columns() + column)] * subkeys[at(row * half + d)];
                    }
                    part[p].push_back(static_cast<float>(score));
                }
            }
            for (Size slot = 0; slot < P * P; ++slot) sums[at(slot)] = part[0][at(slot / P)] + part[1][at(slot % P)];
            std::vector<std::int32_t> order(at(P * P));
            std::iota(order.begin(), order.end(), 0);
            std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return sums[at(a)] > sums[at(b)]; });
            for (Size k = 0; k < keys.k; ++k) {
                slots.ids.push_back(order[at(k)]);
                slots.scores.push_back(sums[at(order[at(k)])]);
            }
        }
    }
    return slots;
}

// heads, sub_keys, half, k, shares_query, shares_sub_keys
const Setting kSettings[] = {
    {1, {1, 1, 1, 1, false, false}},   {5, {2, 3, 2, 9, false, false}},        {7, {1, 5, 3, 7, false, true}, 2},
    {60, {2, 7, 4, 3, false, true}},   {4, {3, 13, 5, 16, true, false}, 1},    {3, {1, 46, 6, 128, true, true}},
    {9, {2, 64, 8, 32, false, false}}, {6, {1, 101, 3, 16, false, false}, 64}, {2, {1, 20, 2, 400, false, false}, 1},
};

}  // namespace

TEST_CASE_DEVICES("product keys find exactly the slots of a search through all sums, equal sums by slot") {
    for (const Setting& s : kSettings) {
        auto q = on_grid(s.N * s.keys.query_columns(), 1, s.grid), subkeys = on_grid(s.keys.sub_key_rows() * s.keys.half, 2, s.grid);
        for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
            CAPTURE(s.keys.sub_keys);
            CAPTURE(s.keys.k);
            CHECK(search(exec, dtype, s.N, s.keys, q, subkeys) == brute_force(s.N, s.keys, q, subkeys));
        }
    }
}

TEST_CASE_DEVICES("sums that only rounding made equal go by slot as well") {
    // Half 0 is 2²⁴ times half 1: most of half 1 is rounded away, so that pairs far from the best ranks tie.
    ProductKeys keys{1, 37, 1, 12, false, false};
    auto q = on_grid(11 * 2, 3, 4), subkeys = on_grid(2 * 37, 4, 4);
    for (std::size_t n = 0; n < 11; ++n) q[2 * n] = 0x1p24, q[2 * n + 1] = q[2 * n + 1] + 2;
    CHECK(search(exec, Dtype::f32, 11, keys, q, subkeys) == brute_force(11, keys, q, subkeys));
}

TEST_CASE_DEVICES("scores of zero everywhere choose the lowest slots") {
    ProductKeys keys{2, 9, 4, 20, false, true};
    Slots got = search(exec, Dtype::f32, 3, keys, std::vector<double>(48, 0.0), tests::random_values(72, 1));
    for (std::size_t i = 0; i < got.ids.size(); ++i) CHECK(got.ids[i] == static_cast<std::int32_t>(i % 20));
}

TEST_CASE_DEVICES("a query of NaN gets valid slots and scores that show it, and its neighbours do not notice") {
    ProductKeys keys{1, 9, 2, 5, false, false};
    std::vector<double> q(8, 1.0), subkeys = tests::random_values(36, 1);
    Slots before = search(exec, Dtype::f32, 2, keys, q, subkeys);
    q[2] = NAN;
    Slots got = search(exec, Dtype::f32, 2, keys, q, subkeys);
    for (std::size_t k = 0; k < 5; ++k) {
        CHECK(got.ids[k] == static_cast<std::int32_t>(k));
        CHECK(std::isnan(got.scores[k]));
        CHECK(got.ids[5 + k] == before.ids[5 + k]);
    }
}

TEST_CASE("random half-scores choose the same slots, to the bit, on cpu and simt, and with any number of threads") {
    Exec cpu, simt{.device = {DeviceKind::simt, 0}};
    ProductKeys keys{3, 41, 11, 17, false, false};
    auto q = tests::random_values(50 * 66, 1), subkeys = tests::random_values(6 * 41 * 11, 2);
    Slots one = search(cpu, Dtype::f32, 50, keys, q, subkeys);
    set_threads(3);
    CHECK(search(cpu, Dtype::f32, 50, keys, q, subkeys) == one);
    set_threads(2);
    if (cpu_level() != CpuLevel::base) CHECK(search(simt, Dtype::f32, 50, keys, q, subkeys) == one);
}

TEST_CASE_DEVICES("low-rank keys choose the k largest scores, equal ones by column") {
    struct Sizes {
        Size N, R, M, K;
    };
    for (auto [N, R, M, K] : {Sizes{1, 1, 1, 1}, Sizes{70, 3, 29, 5}, Sizes{5, 7, 300, 250}, Sizes{3, 2, 500, 3}, Sizes{4, 3, 11, 11}}) {
        auto x = on_grid(N * R, 1, 4), up = on_grid(R * M, 2, 4);
        Tensor in = from_host(exec, {N, R}, Dtype::f32, x), table = from_host(exec, {R, M}, Dtype::f32, up), ids(exec, {N * K}, Dtype::i32);
        visit(exec, Dtype::f32, [&]<class D, class T>(On<D, T>) {
            if constexpr (!std::is_same_v<T, double>)
                moe::kernels::low_rank_top_k<D, T>(exec, ids.data<std::int32_t>(), in.rows<T>(), table.rows<T>(), K);
        });
        std::vector<std::int32_t> expected;
        for (Size n = 0; n < N; ++n) {
            std::vector<double> score(static_cast<std::size_t>(M));
            for (Size m = 0; m < M; ++m) {
                for (Size r = 0; r < R; ++r)
                    score[static_cast<std::size_t>(m)] += x[static_cast<std::size_t>(n * R + r)] * up[static_cast<std::size_t>(r * M + m)];
            }
            std::vector<std::int32_t> order(static_cast<std::size_t>(M));
            std::iota(order.begin(), order.end(), 0);
            std::stable_sort(order.begin(), order.end(),
                             [&](auto a, auto b) { return score[static_cast<std::size_t>(a)] > score[static_cast<std::size_t>(b)]; });
            expected.insert(expected.end(), order.begin(), order.begin() + K);
        }
        CHECK(to_host<std::int32_t>(exec, ids) == expected);
    }
}
