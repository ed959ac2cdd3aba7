#pragma once
#include "engine/base/dtype.h"

namespace engine::kernels {

// The columns of a table as 8 strips of neighbours, halved three times; every half but the last begins at a multiple of 16. A sum over
// columns is formed per strip and then along that tree: ranks that hold 8 / S strips each (S of 2, 4, 8; columns a multiple of 16·S) form
// the sums of their subtrees, in the same bits whatever S. Where there are few columns, some strips have none.
inline constexpr int kStrips = 8;
inline constexpr Size kStripUnit = 16;

// Columns in the first half.
ENGINE_BOTH constexpr Size strips_in_half(Size columns) { return columns / (2 * kStripUnit) * kStripUnit; }

// Where strip k of `strips` begins, k ≤ strips.
ENGINE_BOTH constexpr Size strip_begin(Size columns, int strips, int k) {
    if (k == strips) return columns;
    Size first = 0;
    while (strips > 1) {
        Size half = strips_in_half(columns);
        strips /= 2;
        first += k < strips ? 0 : half;
        columns = k < strips ? half : columns - half;
        k -= k < strips ? 0 : strips;
    }
    return first;
}

// Whether S ranks can share them: nothing of what a rank computes then depends on S.
constexpr bool strips_divide(Size columns, int ranks) {
    return ranks == 1 || ((ranks == 2 || ranks == 4 || ranks == kStrips) && columns % (kStripUnit * ranks) == 0);
}

}  // namespace engine::kernels
