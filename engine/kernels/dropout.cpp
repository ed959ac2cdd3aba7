#include "engine/kernels/dropout.h"

#include "engine/base/threads.h"
#include "engine/kernels/random_row.h"
#include "engine/memory/scratch.h"

namespace engine::kernels {

template <class D, class T>
void dropout(Exec& exec, Rows<T> y, Rows<const T> x, float rate, std::uint32_t site, Size first_row) {
    constexpr Size kBlockRows = 16;
    Size columns = x.columns, room = columns + 72, blocks = (x.rows + kBlockRows - 1) / kBlockRows;
    std::uint64_t seed = exec.scalars->seed, step = exec.scalars->step;
    std::uint32_t threshold = drop_threshold(rate);
    Sum<T> scale = Sum<T>(1) / (Sum<T>(1) - static_cast<Sum<T>>(rate));
    Scratch<std::uint32_t> buffer(exec, blocks * room);
    parallel_for(blocks, [&](Size block) {
        for (Size n = block * kBlockRows; n < x.rows && n < (block + 1) * kBlockRows; ++n) {
            const std::uint32_t* bits =
                random_row(buffer.data() + block * room, seed, step, site, static_cast<std::uint64_t>((first_row + n) * columns), columns);
            const T* in = x.row(n);
            T* out = y.row(n);
            for (Size c = 0; c < columns; ++c) out[c] = store<T>(bits[c] >= threshold ? load(in[c]) * scale : Sum<T>(0));
        }
    });
}

template void dropout<Here, float>(Exec&, Rows<float>, Rows<const float>, float, std::uint32_t, Size);
template void dropout<Here, double>(Exec&, Rows<double>, Rows<const double>, float, std::uint32_t, Size);
template void dropout<Here, bf16>(Exec&, Rows<bf16>, Rows<const bf16>, float, std::uint32_t, Size);

}  // namespace engine::kernels
