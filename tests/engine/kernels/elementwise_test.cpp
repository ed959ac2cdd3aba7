#include "engine/kernels/elementwise.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

namespace {

// Columns [1, 1 + count) of rows that are one column longer on each side.
template <class T>
Rows<T> middle(Rows<T> rows) {
    return {rows.data + 1, rows.rows, rows.columns - 2, rows.stride};
}

}  // namespace

TEST_CASE_DEVICES("fill, add and add_into touch the elements of their rows and nothing beside them") {
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (Shape shape : {Shape{1, 3}, Shape{5, 9}, Shape{37, 101}, Shape{0, 5}, Shape{4, 2}}) {
            Size rows = shape[0], columns = shape[1], count = rows * columns;
            Tensor x = from_host(exec, shape, dtype, tests::random_values(count, 1)),
                   y = from_host(exec, shape, dtype, tests::random_values(count, 2)),
                   filled = from_host(exec, shape, dtype, tests::random_values(count, 3)),
                   sum = from_host(exec, shape, dtype, tests::random_values(count, 3)),
                   into = from_host(exec, shape, dtype, tests::random_values(count, 3));
            auto before = to_host<double>(exec, filled), a = to_host<double>(exec, x), b = to_host<double>(exec, y);
            visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                kernels::fill<D, T>(exec, middle(filled.rows<T>()), 1.5f);
                kernels::add<D, T>(exec, middle(sum.rows<T>()), middle(x.rows<T>()), middle(y.rows<T>()));
                kernels::add_into<D, T>(exec, middle(into.rows<T>()), middle(x.rows<T>()));
            });
            auto got_filled = to_host<double>(exec, filled), got_sum = to_host<double>(exec, sum), got_into = to_host<double>(exec, into);
            // The sum of two numbers is rounded once.
            auto rounded = [&](double value) {
                float single = static_cast<float>(value);
                return static_cast<double>(dtype == Dtype::bf16 ? to_float(to_bf16(single)) : single);
            };
            for (std::size_t i = 0; i < a.size(); ++i) {
                Size column = static_cast<Size>(i) % columns;
                bool inside = column > 0 && column < columns - 1;
                REQUIRE(got_filled[i] == (inside ? 1.5 : before[i]));
                REQUIRE(got_sum[i] == (inside ? rounded(a[i] + b[i]) : before[i]));
                REQUIRE(got_into[i] == (inside ? rounded(before[i] + a[i]) : before[i]));
            }
        }
    }
}
