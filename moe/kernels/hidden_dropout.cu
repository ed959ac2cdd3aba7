#include "engine/base/here.h"
#include "engine/base/philox.h"
#include "engine/cuda/launch.h"
#include "moe/kernels/hidden_dropout.h"

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

// One thread an element.
template <class T>
__global__ void hidden_dropout_kernel(Rows<T> a, const std::int32_t* position, Size choices, std::uint32_t threshold, float scale,
                                      const engine::StepScalars* scalars, std::uint32_t site, Size first_choice) {
    Size index = engine::element_index(), choice = index / a.columns, g = index % a.columns;
    if (choice >= choices || position[choice] < 0) return;
    T& value = a(position[choice], g);
    std::uint32_t bits =
        engine::random_bits(scalars->seed, scalars->step, site, static_cast<std::uint64_t>(first_choice * a.columns + index));
    value = engine::store<T>(bits >= threshold ? engine::load(value) * scale : 0.0f);
}

}  // namespace ENGINE_DEVICE

template <class D, class T>
void hidden_dropout(Exec& exec, Rows<T> a, const std::int32_t* position, Size choices, HiddenDropout dropout) {
    engine::launch("hidden_dropout_kernel", hidden_dropout_kernel<T>, engine::element_grid(choices * a.columns), engine::kElementThreads, 0,
                   exec.stream, a, position, choices, engine::drop_threshold(dropout.rate), 1.0f / (1.0f - dropout.rate), exec.scalars,
                   dropout.site, dropout.first_choice);
}

template void hidden_dropout<Here, float>(Exec&, Rows<float>, const std::int32_t*, Size, HiddenDropout);
template void hidden_dropout<Here, engine::bf16>(Exec&, Rows<engine::bf16>, const std::int32_t*, Size, HiddenDropout);

}  // namespace moe::kernels
