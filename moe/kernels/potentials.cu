#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/potentials.h"
#include "moe/kernels/potentials_sums.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

// One thread a row.
template <class S>
__global__ void row_potentials_kernel(S* b, Rows<const S> z, const S* a, Size T, int sign) {
    Size n = engine::element_index();
    if (n < z.rows) b[n] = row_potential(z, n, a != nullptr ? a + n / T * z.columns : nullptr, sign);
}

// One thread a part of 64 rows of one column.
template <class S>
__global__ void column_parts_kernel(ExpSum<S>* sums, Rows<const S> z, const S* b, Size T, Size parts, int sign) {
    Size i = engine::element_index();
    if (i >= z.rows / T * parts * z.columns) return;
    Size task = i / z.columns, start = task % parts * kPotentialRows, left = T - start;
    sums[i] = column_part(z, i % z.columns, task / parts * T + start, left < kPotentialRows ? left : kPotentialRows, b, sign);
}

// One thread a column of a group.
template <class S>
__global__ void column_potentials_kernel(S* a, const ExpSum<S>* sums, Size groups, Size parts, Size E) {
    Size i = engine::element_index();
    if (i >= groups * E) return;
    ExpSum<S> total;
    for (Size part = 0; part < parts; ++part) total.join(sums[(i / E * parts + part) * E + i % E]);
    a[i] = -total.log();
}

// One thread an element.
template <class S>
__global__ void add_potentials_kernel(Rows<S> y, Rows<const S> z, const S* a, const S* b, Size T, bool exponential) {
    Size i = engine::element_index();
    if (i >= z.rows * z.columns) return;
    Size n = i / z.columns, e = i % z.columns;
    y(n, e) = shifted(z, n, e, a != nullptr ? a + n / T * z.columns : nullptr, b, exponential);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void row_potentials(Exec& exec, S* b, Rows<const S> z, const S* a, Size T, int sign) {
    engine::launch("row_potentials_kernel", row_potentials_kernel<S>, engine::element_grid(z.rows), engine::kElementThreads, 0, exec.stream,
                   b, z, a, T, sign);
}

template <class D, class S>
void column_potentials(Exec& exec, S* a, Rows<const S> z, const S* b, Size T, int sign) {
    Size parts = (T + kPotentialRows - 1) / kPotentialRows, groups = z.rows / T;
    engine::Scratch<ExpSum<S>> sums(exec, groups * parts * z.columns);
    engine::launch("column_parts_kernel", column_parts_kernel<S>, engine::element_grid(groups * parts * z.columns), engine::kElementThreads,
                   0, exec.stream, sums.data(), z, b, T, parts, sign);
    engine::launch("column_potentials_kernel", column_potentials_kernel<S>, engine::element_grid(groups * z.columns),
                   engine::kElementThreads, 0, exec.stream, a, sums.data(), groups, parts, z.columns);
}

template <class D, class S>
void add_potentials(Exec& exec, Rows<S> y, Rows<const S> z, const S* a, const S* b, Size T, bool exponential) {
    engine::launch("add_potentials_kernel", add_potentials_kernel<S>, engine::element_grid(z.rows * z.columns), engine::kElementThreads, 0,
                   exec.stream, y, z, a, b, T, exponential);
}

template void row_potentials<Here, float>(Exec&, float*, Rows<const float>, const float*, Size, int);
template void column_potentials<Here, float>(Exec&, float*, Rows<const float>, const float*, Size, int);
template void add_potentials<Here, float>(Exec&, Rows<float>, Rows<const float>, const float*, const float*, Size, bool);

}  // namespace moe::kernels
