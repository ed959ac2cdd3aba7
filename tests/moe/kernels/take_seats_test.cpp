#include "moe/kernels/take_seats.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

namespace {

std::vector<std::int32_t> seated(Exec& exec, const std::vector<std::int32_t>& choices, Size N, Size K, Size E, Size seats) {
    Tensor ids = from_host(exec, {N, K}, Dtype::i32, choices), out(exec, {N, K}, Dtype::i32);
    visit_device(
        exec, [&]<class D>(D) { moe::kernels::take_seats<D>(exec, out.data<std::int32_t>(), ids.data<std::int32_t>(), N, K, E, seats); });
    return to_host<std::int32_t>(exec, out);
}

}  // namespace

TEST_CASE_DEVICES("seats go to all first choices in row order, then to all second choices") {
    // Expert 0: rows 0 and 2 by first choice; row 1's second choice comes too late. Expert 1: rows 1 and 3, then row 0.
    CHECK(seated(exec, {0, 1, 1, 0, 0, 1, 1, 0}, 4, 2, 2, 2) == std::vector<std::int32_t>{0, -1, 1, -1, 0, -1, 1, -1});
    CHECK(seated(exec, {0, 1, 1, 0, 0, 1, 1, 0}, 4, 2, 2, 3) == std::vector<std::int32_t>{0, 1, 1, 0, 0, -1, 1, -1});
    // A choice that is none takes no seat.
    CHECK(seated(exec, {-1, 0, 0, 0, 0, 0}, 6, 1, 1, 2) == std::vector<std::int32_t>{-1, 0, 0, -1, -1, -1});
}

TEST_CASE_DEVICES("seats are counted across blocks of rows, whatever their number") {
    struct Sizes {
        Size N, K, E, seats;
    };
    for (auto [N, K, E, seats] : {Sizes{1, 1, 1, 1}, Sizes{131, 3, 5, 17}, Sizes{383, 2, 300, 1}, Sizes{257, 1, 2, 128}}) {
        auto values = tests::random_values(N * K, 3);
        std::vector<std::int32_t> ids, expected(values.size());
        for (double v : values) ids.push_back(static_cast<std::int32_t>((v + 1) / 2 * static_cast<double>(E + 1)) - 1);
        std::vector<Size> taken(static_cast<std::size_t>(E), 0);
        for (Size k = 0; k < K; ++k) {
            for (Size n = 0; n < N; ++n) {
                std::size_t i = static_cast<std::size_t>(n * K + k);
                expected[i] = ids[i] >= 0 && taken[static_cast<std::size_t>(ids[i])]++ < seats ? ids[i] : -1;
            }
        }
        CHECK(seated(exec, ids, N, K, E, seats) == expected);
    }
}
