#include "engine/kernels/cast.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

TEST_CASE_DEVICES("cast rounds to nearest even and back without loss") {
    // 1 + 2⁻⁸ lies between two bf16 values and goes to the even one, 1; 1 + 3·2⁻⁸ to 1 + 2⁻⁶.
    std::vector<float> values = {1.0f, 1.00390625f, 1.01171875f, -3.5f, 1e30f, 0.0f, 65504.0f};
    Tensor x = from_host(exec, {7}, Dtype::f32, values), y(exec, {7}, Dtype::bf16), z(exec, {7}, Dtype::f32);
    visit_device(exec, [&]<class D>(D) {
        kernels::cast<D, bf16, float>(exec, y.rows<bf16>(), x.rows<float>());
        kernels::cast<D, float, bf16>(exec, z.rows<float>(), y.rows<bf16>());
    });
    std::vector<float> back = to_host<float>(exec, z);
    CHECK(back[0] == 1.0f);
    CHECK(back[1] == 1.0f);
    CHECK(back[2] == 1.015625f);
    CHECK(back[3] == -3.5f);
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(back[i] == to_float(to_bf16(values[i])));
}

TEST_CASE_DEVICES("cast walks over rows with a stride, and over rows longer than a thread's block") {
    struct Sizes {
        Size rows, columns;
    };
    for (auto [rows, columns] : {Sizes{5, 9}, Sizes{2, 32769}, Sizes{0, 3}}) {
        auto values = tests::random_values(rows * columns, 1);
        Tensor x = from_host(exec, {rows, columns}, Dtype::f32, values), y(exec, {rows, columns}, Dtype::bf16);
        visit_device(exec, [&]<class D>(D) { kernels::cast<D, bf16, float>(exec, y.rows<bf16>(), x.rows<float>()); });
        auto got = to_host<float>(exec, y);
        for (std::size_t i = 0; i < values.size(); ++i) REQUIRE(got[i] == to_float(to_bf16(static_cast<float>(values[i]))));
    }
}
