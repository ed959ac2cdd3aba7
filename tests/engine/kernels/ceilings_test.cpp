#include "engine/kernels/ceilings.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

TEST_CASE_DEVICES("the loops behind the measured ceilings do what they count") {
    Size count = 1009;
    Tensor x = from_host(exec, {count}, Dtype::f32, tests::random_values(count, 1)), y = zeros(exec, {count}, Dtype::f32);
    Tensor sink = zeros(exec, {1}, Dtype::f32);
    visit_device(exec, [&]<class D>(D) {
        kernels::copy_loop<D>(exec, y.data<float>(), x.data<float>(), count);
        kernels::read_loop<D>(exec, sink.data<float>(), x.data<float>(), count);
        kernels::read_rows_loop<D>(exec, sink.data<float>(), x.data<float>(), 7, 144);
        double once = kernels::multiply_add_loop<D, float>(exec, sink.data<float>(), 1);
        CHECK(once > 0);
        CHECK(kernels::multiply_add_loop<D, float>(exec, sink.data<float>(), 3) == 3 * once);
    });
    CHECK(to_host<float>(exec, y) == to_host<float>(exec, x));
    CHECK(std::isfinite(to_host<float>(exec, sink)[0]));
}
