#include "engine/tensor/transfer.h"

#include "engine/cuda/runtime.h"

#include <atomic>
#include <cstring>

namespace engine {
namespace {

std::atomic<long> reads{0};

std::size_t to_size(Size value) { return static_cast<std::size_t>(value); }

template <class From, class To>
To convert(From value) {
    if constexpr (std::is_same_v<From, To>) {
        return value;
    } else if constexpr (std::is_same_v<To, bf16>) {
        return to_bf16(static_cast<float>(value));
    } else if constexpr (std::is_same_v<From, bf16>) {
        return static_cast<To>(to_float(value));
    } else {
        return static_cast<To>(value);
    }
}

template <class F>
void by_dtype(Dtype dtype, F&& f) {
    switch (dtype) {
        case Dtype::f32:
            return f(float{});
        case Dtype::f64:
            return f(double{});
        case Dtype::bf16:
            return f(bf16{});
        case Dtype::i32:
            return f(std::int32_t{});
        case Dtype::i64:
            return f(std::int64_t{});
    }
}

// What happens to a tensor's bytes on the host. `written`: all of them, padding as zeros.
enum class Bytes { read, written, changed };

// Runs f on the tensor's bytes in host memory, which are brought and taken back where the device is elsewhere.
template <class F>
void with_host_bytes(const Exec& exec, const Tensor& tensor, Bytes what, F&& f) {
    if (tensor.bytes() == 0 || tensor.device().is_dry()) return;
    if (tensor.device().on_host()) return f(static_cast<char*>(tensor.address()));
    std::size_t span =
        to_size(((tensor.shape().rows() - 1) * tensor.row_stride() + tensor.shape().columns()) * element_bytes(tensor.dtype()));
    std::vector<char> bytes(span);
    if (what != Bytes::written) cuda::copy_to_host(bytes.data(), tensor.address(), span, exec.stream);
    f(bytes.data());
    if (what != Bytes::read) cuda::copy_to_device(tensor.address(), bytes.data(), span, exec.stream);
}

}  // namespace

void fill_zero(const Exec& exec, const Tensor& tensor) {
    if (tensor.bytes() == 0 || tensor.device().is_dry()) return;
    Size element = element_bytes(tensor.dtype());
    Size rows = tensor.shape().rows(), columns = tensor.shape().columns(), stride = tensor.row_stride();
    auto clear = [&](Size offset, Size count) {
        char* at = static_cast<char*>(tensor.address()) + offset * element;
        if (tensor.device().on_host()) {
            std::memset(at, 0, to_size(count * element));
        } else {
            cuda::fill_bytes(at, 0, to_size(count * element), exec.stream);
        }
    };
    bool own_padding = stride == (tensor.shape().dims() <= 1 ? columns : row_stride_for(columns, tensor.dtype()));
    if (own_padding) return clear(0, rows * stride);
    for (Size i = 0; i < rows; ++i) clear(i * stride, columns);
}

Tensor zeros(const Exec& exec, Shape shape, Dtype dtype) {
    Tensor result(exec, shape, dtype);
    fill_zero(exec, result);
    return result;
}

void copy(const Exec& exec, const Tensor& to, const Tensor& from) {
    expect(to.shape() == from.shape() && to.dtype() == from.dtype(), "copy", "tensors differ: got {} {}, expected {} {}",
           from.shape().text(), dtype_name(from.dtype()), to.shape().text(), dtype_name(to.dtype()));
    if (to.bytes() == 0 || to.device().is_dry()) return;
    Size element = element_bytes(to.dtype()), rows = to.shape().rows(), columns = to.shape().columns();
    auto move = [&](Size to_offset, Size from_offset, Size count) {
        char* target = static_cast<char*>(to.address()) + to_offset * element;
        const char* source = static_cast<const char*>(from.address()) + from_offset * element;
        if (to.device().on_host()) {
            std::memcpy(target, source, to_size(count * element));
        } else {
            cuda::copy_on_device(target, source, to_size(count * element), exec.stream);
        }
    };
    if (to.row_stride() == columns && from.row_stride() == columns) return move(0, 0, rows * columns);
    if (rows > 1 && !to.device().on_host()) {
        return cuda::copy_rows_on_device(to.address(), to_size(to.row_stride() * element), from.address(),
                                         to_size(from.row_stride() * element), to_size(columns * element), to_size(rows), exec.stream);
    }
    for (Size i = 0; i < rows; ++i) move(i * to.row_stride(), i * from.row_stride(), columns);
}

namespace {

template <class T>
void put_values(const Exec& exec, const Tensor& to, const std::vector<T>& values, Bytes what) {
    expect(static_cast<Size>(values.size()) == to.shape().elements(), "copy_from_host",
           "number of values does not fit: got {}, expected {} for {}", values.size(), to.shape().elements(), to.shape().text());
    Size rows = to.shape().rows(), columns = to.shape().columns(), stride = to.row_stride();
    with_host_bytes(exec, to, what, [&](char* bytes) {
        by_dtype(to.dtype(), [&]<class U>(U) {
            U* data = reinterpret_cast<U*>(bytes);
            for (Size i = 0; i < rows; ++i) {
                for (Size j = 0; j < columns; ++j) data[i * stride + j] = convert<T, U>(values[to_size(i * columns + j)]);
            }
        });
    });
}

}  // namespace

template <class T>
void copy_from_host(const Exec& exec, const Tensor& to, const std::vector<T>& values) {
    put_values(exec, to, values, to.is_packed() ? Bytes::written : Bytes::changed);
}

template <class T>
Tensor from_host(const Exec& exec, Shape shape, Dtype dtype, const std::vector<T>& values) {
    Tensor result = zeros(exec, shape, dtype);
    put_values(exec, result, values, Bytes::written);
    return result;
}

template <class T>
std::vector<T> to_host(const Exec& exec, const Tensor& tensor) {
    ++reads;
    std::vector<T> values(to_size(tensor.shape().elements()));
    Size rows = tensor.shape().rows(), columns = tensor.shape().columns(), stride = tensor.row_stride();
    with_host_bytes(exec, tensor, Bytes::read, [&](const char* bytes) {
        by_dtype(tensor.dtype(), [&]<class U>(U) {
            const U* data = reinterpret_cast<const U*>(bytes);
            for (Size i = 0; i < rows; ++i) {
                for (Size j = 0; j < columns; ++j) values[to_size(i * columns + j)] = convert<U, T>(data[i * stride + j]);
            }
        });
    });
    return values;
}

long host_reads() { return reads; }

template void copy_from_host(const Exec&, const Tensor&, const std::vector<float>&);
template void copy_from_host(const Exec&, const Tensor&, const std::vector<double>&);
template void copy_from_host(const Exec&, const Tensor&, const std::vector<std::int32_t>&);
template void copy_from_host(const Exec&, const Tensor&, const std::vector<std::int64_t>&);
template Tensor from_host(const Exec&, Shape, Dtype, const std::vector<float>&);
template Tensor from_host(const Exec&, Shape, Dtype, const std::vector<double>&);
template Tensor from_host(const Exec&, Shape, Dtype, const std::vector<std::int32_t>&);
template Tensor from_host(const Exec&, Shape, Dtype, const std::vector<std::int64_t>&);
template std::vector<float> to_host(const Exec&, const Tensor&);
template std::vector<double> to_host(const Exec&, const Tensor&);
template std::vector<std::int32_t> to_host(const Exec&, const Tensor&);
template std::vector<std::int64_t> to_host(const Exec&, const Tensor&);

}  // namespace engine
