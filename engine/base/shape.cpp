#include "engine/base/shape.h"

#include "engine/base/error.h"

namespace engine {

Shape::Shape(std::initializer_list<Size> sizes) {
    for (Size size : sizes) append(size);
}

void Shape::append(Size size) {
    expect(dims_ < kMaxDims, "shape", "too many dimensions: got more than {}", kMaxDims);
    expect(size >= 0, "shape", "a dimension is negative: got {}", size);
    sizes_[static_cast<std::size_t>(dims_++)] = size;
}

Size Shape::product(int dims) const {
    Size result = 1;
    for (int i = 0; i < dims; ++i) {
        bool overflow = __builtin_mul_overflow(result, (*this)[i], &result);
        expect(!overflow, "shape", "a tensor has too many elements: got {}, expected at most 2^63 - 1", text());
    }
    return result;
}

Size Shape::elements() const { return product(dims_); }
Size Shape::rows() const { return product(dims_ - 1); }

bool Shape::operator==(const Shape& other) const {
    if (dims_ != other.dims_) return false;
    for (int i = 0; i < dims_; ++i) {
        if ((*this)[i] != other[i]) return false;
    }
    return true;
}

std::string Shape::text() const {
    std::string result = "(";
    for (int i = 0; i < dims_; ++i) result += (i == 0 ? "" : ", ") + std::to_string((*this)[i]);
    return result + ")";
}

}  // namespace engine
