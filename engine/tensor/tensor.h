#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"
#include "engine/base/shape.h"

#include <memory>
#include <vector>

namespace engine {

// Row-major: storage + shape + row stride + dtype. A copy shares the storage. Knows nothing of gradients.
class Tensor {
  public:
    Tensor() = default;
    // Uninitialised, from the exec's pool.
    Tensor(const Exec& exec, Shape shape, Dtype dtype);

    bool defined() const { return storage_ != nullptr; }
    const Shape& shape() const { return shape_; }
    Size size(int dim) const { return shape_[dim]; }
    Dtype dtype() const { return dtype_; }
    Device device() const;
    Size row_stride() const { return stride_; }
    // Nothing stands between the rows.
    bool is_packed() const { return stride_ == shape_.columns() || shape_.rows() <= 1; }
    // Bytes of storage, padding included.
    Size bytes() const;
    // No other tensor shares the storage.
    bool is_unshared() const { return storage_.use_count() == 1; }

    // As rows of the last dimension. A tensor of one dimension is one row.
    template <class T>
    Rows<T> rows() const {
        check_dtype(dtype_of<T>());
        return {static_cast<T*>(address()), shape_.rows(), shape_.columns(), stride_};
    }
    template <class T>
    T* data() const {
        check_dtype(dtype_of<T>());
        return static_cast<T*>(address());
    }
    void* address() const;

    // The same memory under another shape with the same last dimension; any shape where rows are not padded.
    Tensor reshaped(Shape shape) const;
    // Columns [first, first + count) of every row; shares the storage.
    Tensor columns(Size first, Size count) const;
    // Rows [first, first + count) of the tensor seen as rows; two dimensions; shares the storage.
    Tensor row_range(Size first, Size count) const;
    // A view into this tensor's memory, `offset` elements in; the caller vouches for the range.
    Tensor view_at(Size offset, Shape shape, Size stride) const;

  private:
    struct Storage;
    void check_dtype(Dtype wanted) const;

    std::shared_ptr<Storage> storage_;
    Size offset_ = 0;  // elements
    Shape shape_;
    Size stride_ = 0;
    Dtype dtype_ = Dtype::f32;
};

// Elements from one row to the next: rows of floating values start at 16-byte boundaries in every dtype, so C = 412 has stride 416.
constexpr Size row_stride_for(Size columns, Dtype dtype) { return is_floating(dtype) && columns >= 8 ? (columns + 7) / 8 * 8 : columns; }

// Uninitialised, without padding between the rows.
inline Tensor packed_tensor(const Exec& exec, Shape shape, Dtype dtype) { return Tensor(exec, {shape.elements()}, dtype).reshaped(shape); }

}  // namespace engine
