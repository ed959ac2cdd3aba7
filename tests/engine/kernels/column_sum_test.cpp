#include "engine/kernels/column_sum.h"

#include "engine/base/threads.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

namespace {

std::vector<double> sums(Exec& exec, Dtype dtype, Size N, Size C, bool add) {
    Tensor x = from_host(exec, {N, C}, dtype, tests::random_values(N * C, 1)),
           y = from_host(exec, {C}, sum_dtype(dtype), tests::random_values(C, 2));
    visit(exec, dtype, [&]<class D, class T>(On<D, T>) { kernels::column_sum<D, T>(exec, y.data<Sum<T>>(), x.rows<T>(), add); });
    return to_host<double>(exec, y);
}

}  // namespace

TEST_CASE_DEVICES("column_sum equals its formula for odd and tiny sizes and for no rows, set or added") {
    struct Sizes {
        Size N, C;
    };
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (auto [N, C] : {Sizes{1, 1}, Sizes{3, 7}, Sizes{64, 131}, Sizes{65, 5}, Sizes{211, 33}, Sizes{0, 4}}) {
            auto x = to_host<double>(exec, from_host(exec, {N, C}, dtype, tests::random_values(N * C, 1)));
            for (bool add : {false, true}) {
                std::vector<double> expected = add ? tests::random_values(C, 2) : std::vector<double>(static_cast<std::size_t>(C), 0.0);
                for (std::size_t i = 0; i < x.size(); ++i) expected[i % static_cast<std::size_t>(C)] += x[i];
                // N roundings of fp32 of sums that stay below √N·2; the largest of the C sums is above a tenth.
                double bound = static_cast<double>(N + 4) * std::sqrt(static_cast<double>(N + 1)) * 20 * 0x1p-24;
                CHECK(tests::relative_error(sums(exec, dtype, N, C, add), expected) <= bound);
            }
        }
    }
}

TEST_CASE("column_sum has the same bits at any number of threads") {
    Exec exec;
    set_threads(1);
    auto one = sums(exec, Dtype::f32, 1000, 37, false);
    for (int count : {2, 3, 5}) {
        set_threads(count);
        CHECK(sums(exec, Dtype::f32, 1000, 37, false) == one);
    }
    set_threads(2);
}
