#include "engine/cuda/cublas.h"

#include "engine/base/error.h"
#include "engine/cuda/runtime.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;

TEST_CASE("without a CUDA device cuBLAS is absent, and a product says what it needs") {
    if (cuda::device_count() > 0) return;
    CHECK_FALSE(cuda::has_cublas());
    CHECK_THROWS_WITH_AS(cuda::cublas_product(nullptr, nullptr, nullptr, nullptr, 1, 1, 1),
                         "[cublas] cannot be opened; hint: this needs a CUDA device and libcublas.so in LD_LIBRARY_PATH", Error);
}

namespace {

void check_product(Exec& exec) {
    if (!cuda::has_cublas()) {
        MESSAGE("skipped: no cuBLAS");
        return;
    }
    constexpr Size M = 24, N = 40, K = 64;
    Tensor a = from_host(exec, {M, K}, Dtype::bf16, tests::random_values(M * K, 1)),
           b = from_host(exec, {K, N}, Dtype::bf16, tests::random_values(K * N, 2)), c(exec, {M, N}, Dtype::bf16);
    cuda::cublas_product(exec.stream, c.data<bf16>(), a.data<bf16>(), b.data<bf16>(), M, N, K);
    auto x = to_host<double>(exec, a), y = to_host<double>(exec, b);
    std::vector<double> expected(M * N);
    for (std::size_t i = 0; i < M * N; ++i) {
        for (std::size_t k = 0; k < K; ++k) expected[i] += x[i / N * K + k] * y[k * N + i % N];
    }
    // One rounding to 8 bits.
    CHECK(tests::relative_error(to_host<double>(exec, c), expected) <= 0x1p-8);
}

}  // namespace

TEST_CASE("cuBLAS multiplies rows as we store them [cuda]") { tests::run_on({DeviceKind::cuda, 0}, check_product); }
