#include "moe/kernels/transpose.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;

template <class D, class T>
void transpose(Exec&, Rows<T> y, Rows<const T> x, bool add) {
    constexpr Size kTile = 32;
    engine::parallel_blocks(y.rows, kTile, [&](Size first, Size last) {
        for (Size tile = 0; tile < x.rows; tile += kTile) {
            for (Size j = first; j < last; ++j) {
                T* out = y.row(j);
                for (Size i = tile; i < std::min(x.rows, tile + kTile); ++i) {
                    out[i] = add ? store<T>(load(out[i]) + load(x(i, j))) : x(i, j);
                }
            }
        }
    });
}

template void transpose<Here, float>(Exec&, Rows<float>, Rows<const float>, bool);
template void transpose<Here, double>(Exec&, Rows<double>, Rows<const double>, bool);
template void transpose<Here, engine::bf16>(Exec&, Rows<engine::bf16>, Rows<const engine::bf16>, bool);

}  // namespace moe::kernels
