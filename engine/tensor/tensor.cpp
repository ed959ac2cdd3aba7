#include "engine/tensor/tensor.h"

#include "engine/base/error.h"
#include "engine/memory/pool.h"

namespace engine {

struct Tensor::Storage {
    Pool& pool;
    std::size_t bytes;
    void* memory;
    Storage(Pool& p, std::size_t b) : pool(p), bytes(b), memory(p.take(b)) {}
    ~Storage() { pool.give_back(memory, bytes); }
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;
};

Tensor::Tensor(const Exec& exec, Shape shape, Dtype dtype) : shape_(shape), dtype_(dtype) {
    stride_ = shape.dims() <= 1 ? shape.columns() : row_stride_for(shape.columns(), dtype);
    std::size_t bytes = static_cast<std::size_t>(shape.rows() * stride_ * element_bytes(dtype));
    storage_ = std::make_shared<Storage>(exec.pool != nullptr ? *exec.pool : pool_of(exec.device), bytes);
}

Device Tensor::device() const {
    expect(defined(), "tensor", "the tensor is empty");
    return storage_->pool.device();
}

Size Tensor::bytes() const { return shape_.rows() * stride_ * element_bytes(dtype_); }

void* Tensor::address() const {
    return storage_ == nullptr || storage_->memory == nullptr ? nullptr
                                                              : static_cast<char*>(storage_->memory) + offset_ * element_bytes(dtype_);
}

void Tensor::check_dtype(Dtype wanted) const {
    expect(dtype_ == wanted, "tensor", "dtype does not match: got {}, expected {}", dtype_name(dtype_), dtype_name(wanted));
}

Tensor Tensor::reshaped(Shape shape) const {
    expect(shape.elements() == shape_.elements() && (is_packed() || shape.columns() == shape_.columns()), "reshape",
           "shapes do not fit: got {}, expected as many elements as {} and the same rows", shape.text(), shape_.text());
    Tensor result = *this;
    result.shape_ = shape;
    if (shape.columns() != shape_.columns() || shape_.rows() <= 1) result.stride_ = shape.columns();
    return result;
}

Tensor Tensor::columns(Size first, Size count) const {
    expect(first >= 0 && count >= 0 && first + count <= shape_.columns(), "columns", "range is outside: got [{}, {}), expected within {}",
           first, first + count, shape_.columns());
    Tensor result = *this;
    result.offset_ += first;
    Shape shape;
    for (int i = 0; i + 1 < shape_.dims(); ++i) shape.append(shape_[i]);
    shape.append(count);
    result.shape_ = shape;
    return result;
}

Tensor Tensor::row_range(Size first, Size count) const {
    expect(first >= 0 && count >= 0 && first + count <= shape_.rows(), "row_range", "range is outside: got [{}, {}), expected within {}",
           first, first + count, shape_.rows());
    return view_at(first * stride_, {count, shape_.columns()}, stride_);
}

Tensor Tensor::view_at(Size offset, Shape shape, Size stride) const {
    Tensor result = *this;
    result.offset_ += offset;
    result.shape_ = shape;
    result.stride_ = stride;
    return result;
}

}  // namespace engine
