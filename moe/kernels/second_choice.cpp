#include "moe/kernels/second_choice.h"

#include "engine/base/threads.h"
#include "moe/kernels/second_choice_row.h"

namespace moe::kernels {

using engine::Here;

template <class D, class S>
void second_choice(Exec& exec, std::int32_t* ids, std::int32_t* kept, Rows<const S> z, Second second, std::uint32_t site, Size first_row) {
    constexpr Size kRows = 64;
    SecondDraw draw;
    if (second != Second::all) draw = {exec.scalars->seed, exec.scalars->step, site};
    engine::parallel_blocks(z.rows, kRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) second_row(ids + 2 * n, kept + 2 * n, z.row(n), z.columns, second, draw, first_row + n);
    });
}

template void second_choice<Here, float>(Exec&, std::int32_t*, std::int32_t*, Rows<const float>, Second, std::uint32_t, Size);
template void second_choice<Here, double>(Exec&, std::int32_t*, std::int32_t*, Rows<const double>, Second, std::uint32_t, Size);

}  // namespace moe::kernels
