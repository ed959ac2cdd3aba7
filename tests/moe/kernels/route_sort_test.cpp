#include "moe/kernels/route_sort.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using Ids = std::vector<std::int32_t>;

namespace {

struct Case {
    Size N, K, E, shards;
};

}  // namespace

TEST_CASE_DEVICES("route_sort lists each expert's choices in the order of tokens, and says where each micro-shard begins") {
    for (auto [N, K, E, shards] : {Case{1, 1, 1, 1}, Case{8, 3, 5, 4}, Case{50, 2, 131, 2}, Case{37, 4, 7, 1}, Case{6, 2, 3, 6},
                                   Case{5000, 2, 9, 5}, Case{301, 33, 40, 1}}) {
        // Expert 1 is never chosen where there are others, and in larger cases every seventh choice is not kept.
        Ids ids(static_cast<std::size_t>(N * K));
        auto draws = tests::random_values(N * K, 1);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            ids[i] = static_cast<std::int32_t>((draws[i] + 1) / 2 * static_cast<double>(E));
            if (ids[i] == 1) ids[i] = 0;
            if (N >= 37 && i % 7 == 6) ids[i] = -1;
        }
        Ids offsets(static_cast<std::size_t>(E + 1)), token, position(ids.size(), -1), begin(static_cast<std::size_t>((shards + 1) * E));
        for (Size e = 0; e < E; ++e) {
            for (Size n = 0; n < N; ++n) {
                if (n % (N / shards) == 0)
                    begin[static_cast<std::size_t>(n / (N / shards) * E + e)] = static_cast<std::int32_t>(token.size());
                for (Size k = 0; k < K; ++k) {
                    if (ids[static_cast<std::size_t>(n * K + k)] != e) continue;
                    position[static_cast<std::size_t>(n * K + k)] = static_cast<std::int32_t>(token.size());
                    token.push_back(static_cast<std::int32_t>(n));
                }
            }
            offsets[static_cast<std::size_t>(e + 1)] = begin[static_cast<std::size_t>(shards * E + e)] =
                static_cast<std::int32_t>(token.size());
        }
        Tensor chosen = from_host(exec, {N, K}, Dtype::i32, ids), got_offsets(exec, {E + 1}, Dtype::i32),
               got_token(exec, {N * K}, Dtype::i32), got_position(exec, {N, K}, Dtype::i32), got_begin(exec, {shards + 1, E}, Dtype::i32);
        Tensor x = from_host(exec, {N * K}, Dtype::f32, draws), routed(exec, {N * K}, Dtype::f32), back(exec, {N * K}, Dtype::f32);
        visit_device(exec, [&]<class D>(D) {
            moe::kernels::RouteArrays arrays{got_offsets.data<std::int32_t>(), got_token.data<std::int32_t>(),
                                             got_position.data<std::int32_t>(), got_begin.data<std::int32_t>()};
            moe::kernels::route_sort<D>(exec, arrays, chosen.data<std::int32_t>(), N, K, E, shards);
            moe::kernels::to_routed<D, float>(exec, routed.data<float>(), x.data<float>(), arrays.position, N * K);
            moe::kernels::from_routed<D, float>(exec, back.data<float>(), routed.data<float>(), arrays.position, N * K);
        });
        CHECK(to_host<std::int32_t>(exec, got_offsets) == offsets);
        Ids placed = to_host<std::int32_t>(exec, got_token);
        placed.resize(token.size());
        CHECK(placed == token);
        CHECK(to_host<std::int32_t>(exec, got_position) == position);
        CHECK(to_host<std::int32_t>(exec, got_begin) == begin);
        auto moved = to_host<float>(exec, routed);
        auto returned = to_host<float>(exec, back);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            CHECK((position[i] < 0 || moved[static_cast<std::size_t>(position[i])] == static_cast<float>(draws[i])));
            CHECK(returned[i] == (position[i] < 0 ? 0.0f : static_cast<float>(draws[i])));
        }
    }
}
