#pragma once
// A matrix of doubles for references: slow, plain, and nothing of the engine in it.
#include "tests/support/layer_program.h"

#include <doctest/doctest.h>

namespace tests::reference {

using engine::Size;

struct Matrix {
    Size rows = 0, columns = 0;
    std::vector<double> values;

    Matrix() = default;
    Matrix(Size rows_, Size columns_) : rows(rows_), columns(columns_), values(static_cast<std::size_t>(rows_ * columns_)) {}
    explicit Matrix(const Array& array) : rows(array.shape.rows()), columns(array.shape.columns()), values(array.values) {}
    double& operator()(Size i, Size j) { return values[static_cast<std::size_t>(i * columns + j)]; }
    double operator()(Size i, Size j) const { return values[static_cast<std::size_t>(i * columns + j)]; }
};

inline Matrix transposed(const Matrix& a) {
    Matrix result(a.columns, a.rows);
    for (Size i = 0; i < a.rows; ++i) {
        for (Size j = 0; j < a.columns; ++j) result(j, i) = a(i, j);
    }
    return result;
}
inline Matrix operator*(const Matrix& a, const Matrix& b) {
    Matrix result(a.rows, b.columns);
    for (Size i = 0; i < a.rows; ++i) {
        for (Size k = 0; k < a.columns; ++k) {
            for (Size j = 0; j < b.columns; ++j) result(i, j) += a(i, k) * b(k, j);
        }
    }
    return result;
}
inline Matrix operator+(Matrix a, const Matrix& b) {
    for (std::size_t i = 0; i < a.values.size(); ++i) a.values[i] += b.values[i];
    return a;
}
inline Matrix column_sums(const Matrix& a) {
    Matrix result(1, a.columns);
    for (Size i = 0; i < a.rows; ++i) {
        for (Size j = 0; j < a.columns; ++j) result(0, j) += a(i, j);
    }
    return result;
}
// A parameter, which must be there under its name and shape.
inline Matrix parameter(const Arrays& in, const std::string& name, const engine::Shape& shape) {
    INFO(name);
    REQUIRE(in.contains(name));
    REQUIRE(in.at(name).shape == shape);
    return Matrix(in.at(name));
}

}  // namespace tests::reference
