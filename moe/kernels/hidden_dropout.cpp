#include "moe/kernels/hidden_dropout.h"

#include "engine/base/threads.h"
#include "engine/kernels/random_row.h"
#include "engine/memory/scratch.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kDroppedChoices = 16;

}  // namespace ENGINE_DEVICE

template <class D, class T>
void hidden_dropout(Exec& exec, Rows<T> a, const std::int32_t* position, Size choices, HiddenDropout dropout) {
    using S = engine::Sum<T>;
    Size G = a.columns, room = G + 72, blocks = (choices + kDroppedChoices - 1) / kDroppedChoices;
    std::uint64_t seed = exec.scalars->seed, step = exec.scalars->step;
    std::uint32_t threshold = engine::drop_threshold(dropout.rate);
    S scale = S(1) / (S(1) - static_cast<S>(dropout.rate));
    engine::Scratch<std::uint32_t> buffer(exec, blocks * room);
    engine::parallel_for(blocks, [&](Size block) {
        for (Size i = block * kDroppedChoices; i < std::min(choices, (block + 1) * kDroppedChoices); ++i) {
            if (position[i] < 0) continue;
            const std::uint32_t* bits = engine::kernels::random_row(buffer.data() + block * room, seed, step, dropout.site,
                                                                    static_cast<std::uint64_t>((dropout.first_choice + i) * G), G);
            T* row = a.row(position[i]);
            for (Size g = 0; g < G; ++g) row[g] = engine::store<T>(bits[g] >= threshold ? engine::load(row[g]) * scale : S(0));
        }
    });
}

template void hidden_dropout<Here, float>(Exec&, Rows<float>, const std::int32_t*, Size, HiddenDropout);
template void hidden_dropout<Here, double>(Exec&, Rows<double>, const std::int32_t*, Size, HiddenDropout);
template void hidden_dropout<Here, engine::bf16>(Exec&, Rows<engine::bf16>, const std::int32_t*, Size, HiddenDropout);

}  // namespace moe::kernels
