#include "engine/base/device.h"

#include "engine/base/error.h"
#include "engine/cuda/runtime.h"

#include <doctest/doctest.h>

TEST_CASE("devices are named by number") {
    CHECK(engine::parse_device("simt").kind == engine::DeviceKind::simt);
    for (const char* wrong : {"cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:100", "gpu"}) {
        CHECK_THROWS_WITH_AS(engine::parse_device(wrong), doctest::Contains("expected cpu, simt, cuda or cuda:N"), engine::Error);
    }
    if (engine::cuda::device_count() < 99) {
        CHECK_THROWS_WITH_AS(engine::parse_device("cuda:99"), doctest::Contains("cuda:99 is not here"), engine::Error);
    }
}
