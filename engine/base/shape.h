#pragma once
#include "engine/base/dtype.h"

#include <array>
#include <initializer_list>
#include <string>

namespace engine {

// Up to five dimensions, outermost first.
class Shape {
  public:
    static constexpr int kMaxDims = 5;
    Shape() = default;
    Shape(std::initializer_list<Size> sizes);

    int dims() const { return dims_; }
    // Dimension i; negative counts from the end.
    Size operator[](int i) const { return sizes_[static_cast<std::size_t>(i < 0 ? dims_ + i : i)]; }
    void append(Size size);
    // Product of all dimensions; 1 for a scalar. Throws where it does not fit.
    Size elements() const;
    // The last dimension (1 for a scalar) and the product of the others.
    Size columns() const { return dims_ == 0 ? 1 : (*this)[-1]; }
    Size rows() const;
    bool operator==(const Shape& other) const;
    // "(8, 1024, 768)"
    std::string text() const;

  private:
    Size product(int dims) const;

    std::array<Size, kMaxDims> sizes_{};
    int dims_ = 0;
};

}  // namespace engine
