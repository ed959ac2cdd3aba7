#include "moe/kernels/pair_slots.h"

#include "engine/base/here.h"

#include <algorithm>

namespace moe::kernels {

using engine::Here;

template <class D>
void pair_slots(Exec&, const PairArrays& out, const std::int32_t* ids, Size N, Size K, Size experts, const std::vector<Pair>& pairs) {
    std::fill_n(out.slot, N * K, -1);
    for (std::size_t p = 0; p < pairs.size(); ++p) {
        const Pair& pair = pairs[p];
        std::fill_n(out.row + pair.row_slots.first, pair.row_slots.count, -1);
        if (out.choice != nullptr) std::fill_n(out.choice + pair.choice_slots.first, pair.choice_slots.count, -1);
        std::int32_t rows = 0, choices = 0;
        for (std::int32_t n = pair.first_row; n < pair.first_row + pair.rows; ++n) {
            bool any = false;
            for (Size i = n * K; i < (n + 1) * K; ++i) {
                if (ids[i] < 0 || ids[i] / experts != pair.owner) continue;
                any = true;
                std::int32_t j = choices++;
                if (rows >= pair.row_slots.count || j >= pair.choice_slots.count) continue;
                out.slot[i] = pair.choice_slots.first + j;
                if (out.choice != nullptr) out.choice[out.slot[i]] = static_cast<std::int32_t>(i);
            }
            if (any && rows < pair.row_slots.count) out.row[pair.row_slots.first + rows] = n;
            rows += any ? 1 : 0;
        }
        if (out.need == nullptr) continue;
        out.need[p] = rows;
        out.need[p + pairs.size()] = choices;
    }
}

template void pair_slots<Here>(Exec&, const PairArrays&, const std::int32_t*, Size, Size, Size, const std::vector<Pair>&);

}  // namespace moe::kernels
