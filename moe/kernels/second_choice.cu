#include "engine/base/here.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/second_choice.h"
#include "moe/kernels/second_choice_row.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

// One thread a row.
template <class S>
__global__ void second_choice_kernel(std::int32_t* ids, std::int32_t* kept, Rows<const S> z, Second second, std::uint32_t site,
                                     Size first_row, const engine::StepScalars* scalars) {
    Size n = engine::element_index();
    if (n >= z.rows) return;
    SecondDraw draw;
    if (second != Second::all) draw = {scalars->seed, scalars->step, site};
    second_row(ids + 2 * n, kept + 2 * n, z.row(n), z.columns, second, draw, first_row + n);
}

}  // namespace ENGINE_DEVICE

template <class D, class S>
void second_choice(Exec& exec, std::int32_t* ids, std::int32_t* kept, Rows<const S> z, Second second, std::uint32_t site, Size first_row) {
    engine::launch("second_choice_kernel", second_choice_kernel<S>, engine::element_grid(z.rows), engine::kElementThreads, 0, exec.stream,
                   ids, kept, z, second, site, first_row, exec.scalars);
}

template void second_choice<Here, float>(Exec&, std::int32_t*, std::int32_t*, Rows<const float>, Second, std::uint32_t, Size);

}  // namespace moe::kernels
