#pragma once
// What a block's tile of a product is made of.
#include "engine/base/rows.h"
#include "engine/cuda/launch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// How an operand lies: along k in its rows, or across.
enum class Along : std::uint8_t { k, rows };

// One operand: rows [first, end) of a matrix, or those that `index` names there. `vectors`: every row begins at a multiple of 16 bytes.
template <class T>
struct TileOperand {
    const T* data;
    Size stride, columns;
    Size first, end;
    const std::int32_t* index = nullptr;
    bool vectors = false;

    __device__ bool has_row(Size i) const { return first + i < end; }
    __device__ const T* row(Size i) const { return data + (index != nullptr ? index[first + i] : first + i) * stride; }
};

// Elements from a row to the next, so that rows begin at multiples of 16 bytes.
inline Size vector_stride(Size columns) { return (columns + 7) / 8 * 8; }
// Whether rows of so many elements from one to the next begin at multiples of 16 bytes.
template <class T>
bool has_vectors(const T* data, Size stride) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && stride % 8 == 0;
}
template <class T>
TileOperand<T> tile_operand(Rows<const T> rows) {
    return {.data = rows.data,
            .stride = rows.stride,
            .columns = rows.columns,
            .first = 0,
            .end = rows.rows,
            .vectors = has_vectors(rows.data, rows.stride)};
}

// The same from a k on, of which `count` are left: what lies before is not read.
template <class T>
__device__ inline TileOperand<T> from_k(TileOperand<T> operand, Along along, Size first_k, Size count) {
    if (along == Along::rows) {
        operand.first += first_k;
        if (operand.first + count < operand.end) operand.end = operand.first + count;
    } else {
        operand.data += first_k;
        operand.columns = count;
    }
    return operand;
}

}  // namespace ENGINE_DEVICE

}  // namespace engine::kernels
