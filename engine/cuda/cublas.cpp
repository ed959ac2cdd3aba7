#include "engine/cuda/cublas.h"

#include "engine/base/error.h"
#include "engine/cuda/runtime.h"

#include <dlfcn.h>

namespace engine::cuda {
namespace {

// cuBLAS's names and values, so that no header of it is needed. A status of 0 is success.
using Handle = void*;
using Create = int (*)(Handle*);
using SetStream = int (*)(Handle, void*);
using GemmEx = int (*)(Handle, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int, const void*, void*, int,
                       int, int, int);
constexpr int kNotTransposed = 0, kRealBf16 = 14, kComputeF32 = 68, kAnyAlgorithm = -1;

struct Cublas {
    Handle handle = nullptr;
    SetStream set_stream = nullptr;
    GemmEx product = nullptr;
};

Cublas open_cublas() {
    if (device_count() == 0) return {};
    void* library = nullptr;
    for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"}) {
        if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (library == nullptr) return {};
    Cublas cublas;
    auto create = reinterpret_cast<Create>(dlsym(library, "cublasCreate_v2"));
    cublas.set_stream = reinterpret_cast<SetStream>(dlsym(library, "cublasSetStream_v2"));
    cublas.product = reinterpret_cast<GemmEx>(dlsym(library, "cublasGemmEx"));
    bool complete = create != nullptr && cublas.set_stream != nullptr && cublas.product != nullptr;
    if (!complete || create(&cublas.handle) != 0) return {};
    return cublas;
}

const Cublas& cublas() {
    static const Cublas opened = open_cublas();
    return opened;
}

}  // namespace

bool has_cublas() { return cublas().handle != nullptr; }

void cublas_product(void* stream, bf16* c, const bf16* a, const bf16* b, Size M, Size N, Size K) {
    expect(has_cublas(), "cublas", "cannot be opened; hint: this needs a CUDA device and libcublas.so in LD_LIBRARY_PATH");
    const Cublas& blas = cublas();
    constexpr float kOne = 1, kZero = 0;
    int m = static_cast<int>(M), n = static_cast<int>(N), k = static_cast<int>(K);
    int status = blas.set_stream(blas.handle, stream);
    // By columns, as cuBLAS reads, our rows are transposes: cᵀ = bᵀ·aᵀ.
    if (status == 0) {
        status = blas.product(blas.handle, kNotTransposed, kNotTransposed, n, m, k, &kOne, b, kRealBf16, n, a, kRealBf16, k, &kZero, c,
                              kRealBf16, n, kComputeF32, kAnyAlgorithm);
    }
    expect(status == 0, "cublas", "product failed: got status {}, expected 0", status);
}

}  // namespace engine::cuda
