#include "engine/kernels/rotary.h"

#include "engine/base/visit.h"
#include "engine/ops/attention.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <complex>

using namespace engine;

TEST_CASE_DEVICES("rotary multiplies a pair, as a complex number, by e^(i·angle); backward turns it back") {
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        constexpr Size B = 3, T = 5, H = 3, Sh = 6, first = 4;
        auto x = tests::random_values(B * T * H * Sh, 1);
        Tensor in = from_host(exec, {B, T, H * Sh}, dtype, x), out(exec, in.shape(), dtype), back(exec, in.shape(), dtype),
               table = ops::rotary_table(exec, first + T, Sh, dtype);
        visit(exec, dtype, [&]<class D, class E>(On<D, E>) {
            kernels::rotary<D, E>(exec, out.rows<E>(), in.rows<E>(), table.rows<Sum<E>>(), {T, H, Sh, first}, false);
            kernels::rotary<D, E>(exec, back.rows<E>(), out.rows<E>(), table.rows<Sum<E>>(), {T, H, Sh, first}, true);
        });
        auto got = to_host<double>(exec, out);
        std::vector<double> expected(x.size());
        auto rounded = to_host<double>(exec, in);
        for (Size n = 0; n < B * T; ++n) {
            for (Size h = 0; h < H; ++h) {
                for (Size i = 0; i < Sh / 2; ++i) {
                    auto at = static_cast<std::size_t>((n * H + h) * Sh + i), pair = at + Sh / 2;
                    double angle = static_cast<double>(first + n % T) / std::pow(10000.0, static_cast<double>(2 * i) / Sh);
                    auto z = std::complex(rounded[at], rounded[pair]) * std::polar(1.0, angle);
                    expected[at] = z.real(), expected[pair] = z.imag();
                }
            }
        }
        // Two products and a sum, each rounded in fp32; in bf16 one rounding of the result, 2⁻⁹ of it.
        double bound = dtype == Dtype::f32 ? 3e-7 : 0x1p-8;
        CHECK(tests::relative_error(got, expected) < bound);
        CHECK(tests::relative_error(to_host<double>(exec, back), rounded) < 3 * bound);
    }
}
