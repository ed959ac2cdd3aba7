#pragma once
// cuBLAS, opened at the first call: a program that was built here also starts where it is absent.
#include "engine/base/dtype.h"

namespace engine::cuda {

// There is a CUDA device, and its cuBLAS could be opened.
bool has_cublas();

// c = a·b.   a (M,K), b (K,N), c (M,N) on the device, without padding; sums in fp32. Throws where has_cublas() is false or cuBLAS fails.
void cublas_product(void* stream, bf16* c, const bf16* a, const bf16* b, Size M, Size N, Size K);

}  // namespace engine::cuda
