#pragma once
// The small table that turns a run-time device and dtype into template parameters:
//   visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) { kernels::relu<D, T>(exec, y.rows<T>(), x.rows<T>()); });
// fp64 exists on the CPU only.
#include "engine/base/cpu_level.h"
#include "engine/base/device_tags.h"
#include "engine/base/error.h"
#include "engine/base/exec.h"

namespace engine {

template <class D, class T>
struct On {};

template <class D, class F>
void visit_dtype(Dtype dtype, F&& f) {
    if constexpr (!std::is_same_v<D, Simt> && !std::is_same_v<D, Cuda>) {
        if (dtype == Dtype::f64) return f(On<D, double>{});
    }
    if (dtype == Dtype::f32) return f(On<D, float>{});
    if (dtype == Dtype::bf16) return f(On<D, bf16>{});
    fail("visit", "dtype has no kernel on this device: got {}; hint: float64 runs on the cpu only", dtype_name(dtype));
}

// Calls f(D{}) with the tag of the exec's device.
template <class F>
void visit_device(const Exec& exec, F&& f) {
    switch (exec.device.kind) {
        case DeviceKind::dry:
            return;
        case DeviceKind::simt:
            return f(Simt{});
        case DeviceKind::cuda:
            if constexpr (kCudaBuilt) return f(Cuda{});
            break;
        case DeviceKind::cpu:
            switch (cpu_level()) {
#ifdef MOEGRAD_LEVEL_avx512
                case CpuLevel::avx512:
                    return f(CpuAvx512{});
#endif
#ifdef MOEGRAD_LEVEL_avx2
                case CpuLevel::avx2:
                    return f(CpuAvx2{});
#endif
                default:
                    return f(CpuBase{});
            }
    }
    fail("visit", "this build has no kernels for the device: got {}; hint: build with the preset cuda-release", device_name(exec.device));
}

template <class F>
void visit(const Exec& exec, Dtype dtype, F&& f) {
    visit_device(exec, [&]<class D>(D) { visit_dtype<D>(dtype, f); });
}

// visit for kernels that exist for Sum types only.
template <class F>
void visit_sum(const Exec& exec, Dtype dtype, F&& f) {
    visit(exec, dtype, [&]<class D, class S>(On<D, S>) {
        if constexpr (!std::is_same_v<S, bf16>) f(On<D, S>{});
    });
}

}  // namespace engine
