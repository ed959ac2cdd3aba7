#pragma once
#include "engine/base/dtype.h"

namespace engine {

// What kernels see of a tensor: `rows` rows of `columns` elements, `stride` elements from one row to the next.
template <class T>
struct Rows {
    T* data = nullptr;
    Size rows = 0;
    Size columns = 0;
    Size stride = 0;

    ENGINE_BOTH T* row(Size i) const { return data + i * stride; }
    ENGINE_BOTH T& operator()(Size i, Size j) const { return data[i * stride + j]; }
    ENGINE_BOTH operator Rows<const T>() const requires(!std::is_const_v<T>) { return {data, rows, columns, stride}; }
    // Rows [first, first + count).
    ENGINE_BOTH Rows slice(Size first, Size count) const { return {data + first * stride, count, columns, stride}; }
};

}  // namespace engine
