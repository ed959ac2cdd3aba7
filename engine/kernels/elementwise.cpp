#include "engine/kernels/elementwise.h"

#include "engine/base/threads.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

constexpr Size kBlockElements = 32768;

// row(i) for every row, in blocks of about kBlockElements elements.
template <class Row>
void for_rows(Size rows, Size columns, Row&& row) {
    Size block = columns >= kBlockElements ? 1 : kBlockElements / (columns + 1) + 1;
    parallel_blocks(rows, block, [&](Size first, Size last) {
        for (Size i = first; i < last; ++i) row(i);
    });
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void fill(Exec&, Rows<T> y, Sum<T> value) {
    for_rows(y.rows, y.columns, [&](Size i) {
        T* out = y.row(i);
        for (Size j = 0; j < y.columns; ++j) out[j] = store<T>(value);
    });
}

template <class D, class T>
void add_into(Exec&, Rows<T> y, Rows<const T> x) {
    for_rows(y.rows, y.columns, [&](Size i) {
        T* out = y.row(i);
        const T* in = x.row(i);
        for (Size j = 0; j < y.columns; ++j) out[j] = store<T>(load(out[j]) + load(in[j]));
    });
}

template <class D, class T>
void add(Exec&, Rows<T> z, Rows<const T> x, Rows<const T> y) {
    for_rows(z.rows, z.columns, [&](Size i) {
        T* out = z.row(i);
        const T* a = x.row(i);
        const T* b = y.row(i);
        for (Size j = 0; j < z.columns; ++j) out[j] = store<T>(load(a[j]) + load(b[j]));
    });
}

#define INSTANTIATE(T)                                              \
    template void fill<Here, T>(Exec&, Rows<T>, Sum<T>);            \
    template void add_into<Here, T>(Exec&, Rows<T>, Rows<const T>); \
    template void add<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace engine::kernels
