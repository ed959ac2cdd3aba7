#pragma once
#include "engine/base/error.h"
#include "engine/tensor/tensor.h"

#include <vector>

namespace engine {

// Zeros, padding included.
Tensor zeros(const Exec& exec, Shape shape, Dtype dtype);
void fill_zero(const Exec& exec, const Tensor& tensor);
// The bytes of one tensor into another of equal shape and dtype on the same device.
void copy(const Exec& exec, const Tensor& to, const Tensor& from);

// Host values in row-major order without padding ↔ a tensor of any device. Floating values convert to and from every floating dtype.
// To a GPU few values go without a wait (cuda::copy_to_device), except into a view with another tensor's values between its rows.
template <class T>
Tensor from_host(const Exec& exec, Shape shape, Dtype dtype, const std::vector<T>& values);
template <class T>
void copy_from_host(const Exec& exec, const Tensor& to, const std::vector<T>& values);
template <class T>
std::vector<T> to_host(const Exec& exec, const Tensor& tensor);
// How often values were brought to the host, by all threads of this process: on a GPU each time is a wait for its stream.
long host_reads();

}  // namespace engine
