#include "engine/kernels/move_rows.h"

#include "engine/base/threads.h"

#include <algorithm>

namespace engine::kernels {

template <class D, class T>
void move_rows(Exec&, Rows<T> y, Rows<const T> x, RowMove move, bool add) {
    constexpr Size kBlockRows = 64;
    parallel_blocks(move.batch * move.count, kBlockRows, [&](Size first, Size last) {
        for (Size i = first; i < last; ++i) {
            Size b = i / move.count, t = i % move.count;
            T* out = y.row(b * move.to_length + move.to_first + t);
            const T* in = x.row(b * move.from_length + move.from_first + t);
            if (add) {
                for (Size c = 0; c < y.columns; ++c) out[c] = store<T>(load(out[c]) + load(in[c]));
            } else {
                std::copy_n(in, y.columns, out);
            }
        }
    });
}

template void move_rows<Here, float>(Exec&, Rows<float>, Rows<const float>, RowMove, bool);
template void move_rows<Here, double>(Exec&, Rows<double>, Rows<const double>, RowMove, bool);
template void move_rows<Here, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, RowMove, bool);

}  // namespace engine::kernels
