#pragma once
#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace engine::kernels::inline ENGINE_DEVICE {

// `kOuts` sums over rows at once: add_row(n, out) adds row n's share to out[k][0..columns). Blocks of 64 rows, then the blocks in order:
// the bits do not depend on threads.
template <int kOuts, class S, class AddRow>
void sum_columns(Exec& exec, S* (&sums)[kOuts], Size rows, Size columns, bool add, AddRow&& add_row) {
    constexpr Size kBlockRows = 64;
    Size blocks = (rows + kBlockRows - 1) / kBlockRows;
    Scratch<S> partial(exec, blocks * kOuts * columns);
    parallel_for(blocks, [&](Size block) {
        S* out[kOuts];
        for (int k = 0; k < kOuts; ++k) {
            out[k] = partial.data() + (block * kOuts + k) * columns;
            std::fill_n(out[k], columns, S(0));
        }
        Size last = std::min(rows, (block + 1) * kBlockRows);
        for (Size n = block * kBlockRows; n < last; ++n) add_row(n, out);
    });
    for (int k = 0; k < kOuts; ++k) {
        if (!add) std::fill_n(sums[k], columns, S(0));
        for (Size block = 0; block < blocks; ++block) {
            const S* in = partial.data() + (block * kOuts + k) * columns;
            for (Size c = 0; c < columns; ++c) sums[k][c] += in[c];
        }
    }
}

}  // namespace engine::kernels::inline ENGINE_DEVICE
