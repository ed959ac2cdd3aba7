#pragma once
// What `moegrad bench` times.
#include "engine/tensor/tensor.h"

#include <functional>
#include <string>
#include <vector>

namespace apps {

struct BenchCase {
    std::string kernel, shape;
    engine::Dtype dtype;
    double flops, bytes;  // the least that the formula asks for; bytes 0: not stated
    // Takes memory and fills it; the result runs the case once.
    std::function<std::function<void()>(engine::Exec&)> prepare;
    double row_bytes = 0;  // besides `bytes`: of rows at random places of a large table
};

std::vector<BenchCase> product_cases();
std::vector<BenchCase> kernel_cases();
std::vector<BenchCase> rows_cases();
std::vector<BenchCase> layer_cases();
std::vector<BenchCase> step_cases();

// Values in [-1, 1): never zeros, on which processors are faster.
engine::Tensor random_tensor(engine::Exec& exec, engine::Shape shape, engine::Dtype dtype, std::uint64_t salt);

}  // namespace apps
