#pragma once
// TEST_CASE_DEVICES("sentence") { … exec … }: the same body on cpu, simt and, where there is one, cuda.
#include "engine/base/exec.h"
#include "engine/cuda/runtime.h"
#include "engine/memory/pool.h"

#include <doctest/doctest.h>

namespace tests {

inline void run_on(engine::Device device, void (*body)(engine::Exec&)) {
    if (device.kind == engine::DeviceKind::cuda && engine::cuda::device_count() == 0) {
        MESSAGE("skipped: no CUDA device");
        return;
    }
    engine::Exec exec{.device = device, .pool = &engine::pool_of(device)};
    if (device.kind == engine::DeviceKind::cuda) exec.stream = engine::cuda::make_stream();
    body(exec);
}

}  // namespace tests

#define MOEGRAD_TEST_DEVICES(body, sentence)                                              \
    static void body(engine::Exec& exec);                                                 \
    TEST_CASE(sentence " [cpu]") { tests::run_on({engine::DeviceKind::cpu, 0}, body); }   \
    TEST_CASE(sentence " [simt]") { tests::run_on({engine::DeviceKind::simt, 0}, body); } \
    TEST_CASE(sentence " [cuda]") { tests::run_on({engine::DeviceKind::cuda, 0}, body); } \
    static void body([[maybe_unused]] engine::Exec& exec)
#define TEST_CASE_DEVICES(sentence) MOEGRAD_TEST_DEVICES(DOCTEST_ANONYMOUS(body_on_devices_), sentence)
